import * as JsSIP from "jssip";

/** The page's softphone: one account, one call. What happens is in `state`, where the tests wait for it; SIP goes to `log`. */
const state = {
  registration: "",
  status: 0,
  from: "",
  ringback: false,
  ringing: false,
  accepted: false,
  confirmed: false,
  ended: "",
  media: { iceState: "", packetsReceived: 0, packetsSent: 0 },
};
const log = [];
const mediaConstraints = { audio: true, video: false };
let userAgent;
let session;

function start(urls, uri, password) {
  const sockets = urls.map((url, index) => ({ socket: logged(new JsSIP.WebSocketInterface(url)), weight: urls.length - index }));
  userAgent = new JsSIP.UA({ sockets, uri, password, register: false, register_expires: 600, session_timers: false });
  userAgent.on("registered", () => (state.registration = "registered"));
  userAgent.on("registrationFailed", (event) => {
    state.status = event.response?.status_code ?? 0;
    state.registration = event.cause;
  });
  userAgent.on("newRTCSession", ({ session: created, originator }) => {
    session = created;
    if (originator === "remote") {
      state.from = created.remote_identity.uri.toString();
      state.ringing = true;
    }
    created.on("progress", () => (state.ringback = true));
    created.on("accepted", () => (state.accepted = true));
    created.on("confirmed", () => (state.confirmed = true));
    created.on("ended", (event) => (state.ended = event.cause));
    created.on("failed", (event) => {
      log.push(`failed: ${event.cause} ${event.message?.status_code ?? ""}`);
      state.ended = `${event.message?.status_code ?? ""} ${event.cause}`;
    });
    for (const name of [
      "setremotedescriptionfailed",
      "getusermediafailed",
      "peerconnection:createofferfailed",
      "peerconnection:createanswerfailed",
      "peerconnection:setlocaldescriptionfailed",
      "peerconnection:setremotedescriptionfailed",
    ]) {
      created.on(name, (error) => log.push(`${name}: ${error}`));
    }
    if (originator === "remote") created.on("peerconnection", ({ peerconnection }) => play(peerconnection));
  });
  userAgent.start();
}

function logged(socket) {
  const { send } = socket;
  socket.send = (message) => {
    log.push(`> ${message}`);
    return send.call(socket, message);
  };
  return socket;
}

/** Chromium decodes, and counts, what is played. */
function play(connection) {
  connection.addEventListener("track", ({ streams }) => {
    const audio = new Audio();
    audio.srcObject = streams[0];
    void audio.play();
  });
  watchMedia(connection);
}

function call(uri) {
  userAgent.call(uri, { mediaConstraints });
  play(session.connection);
}

/** Looks at the media from now on, until the call is over. */
function watchMedia(connection) {
  const timer = setInterval(async () => {
    if (connection.signalingState === "closed") clearInterval(timer);
    else state.media = await mediaStatistics(connection);
  }, 100);
}

async function mediaStatistics(connection) {
  let packetsReceived = 0;
  let packetsSent = 0;
  for (const report of (await connection.getStats()).values()) {
    if (report.type === "inbound-rtp") packetsReceived += report.packetsReceived;
    if (report.type === "outbound-rtp") packetsSent += report.packetsSent;
  }
  return { iceState: connection.iceConnectionState, packetsReceived, packetsSent };
}

globalThis.phone = {
  start,
  register: () => (userAgent.isConnected() ? userAgent.register() : userAgent.once("connected", () => userAgent.register())),
  call,
  answer: () => session.answer({ mediaConstraints }),
  hangup: () => session.terminate(),
  stop: () => userAgent.stop(),
  state,
  log,
};
