/*
 * The null proxy's gateway: npx node bench/null-proxy/gateway.ts PORT URL. One UDP socket, one WebSocket to the object. A frame leaves at once when
 * nothing is unanswered, else when its oldest message is 2 ms old or 64 KiB wait: the rule that Tandem's gateways began with. Says "ready".
 */
import { createSocket } from "node:dgram";
import { WebSocket } from "ws";

const frameDelayMs = 2;
const frameOctets = 65_536;

const [port = "0", url = ""] = process.argv.slice(2);
const udp = createSocket({ type: "udp4", recvBufferSize: 4_194_304, sendBufferSize: 4_194_304 });
const backhaul = new WebSocket(url, { perMessageDeflate: false, skipUTF8Validation: true });

let waiting: Buffer[] = [];
let waitingOctets = 0;
let unanswered = 0;
let timer: NodeJS.Timeout | undefined;

function flush(): void {
  clearTimeout(timer);
  timer = undefined;
  if (waiting.length === 0) return;
  backhaul.send(Buffer.concat(waiting, waitingOctets));
  unanswered += 1;
  waiting = [];
  waitingOctets = 0;
}

udp.on("message", (message, { address, port: from }) => {
  const source = `${address}:${from}`;
  const record = Buffer.allocUnsafe(5 + source.length + message.length);
  record[0] = source.length;
  record.writeUInt32BE(message.length, 1);
  record.write(source, 5, "latin1");
  message.copy(record, 5 + source.length);
  waiting.push(record);
  waitingOctets += record.length;
  if (unanswered === 0 || waitingOctets >= frameOctets) flush();
  else timer ??= setTimeout(flush, frameDelayMs);
});

backhaul.on("message", (data) => {
  const frame = data as Buffer;
  for (let at = 0; at < frame.length;) {
    const start = at + 5 + (frame[at] ?? 0);
    const end = start + frame.readUInt32BE(at + 1);
    const [host = "", to = ""] = frame.toString("latin1", at + 5, start).split(":");
    udp.send(frame.subarray(start, end), Number(to), host);
    at = end;
  }
  unanswered -= 1;
  if (unanswered === 0) flush();
});

backhaul.once("open", () => udp.bind(Number(port), "127.0.0.1", () => process.stdout.write("ready\n")));
