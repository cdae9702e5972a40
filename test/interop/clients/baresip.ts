import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type Socket, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../../kit/world/free-ports.ts";
import { Program } from "../program.ts";
import { Timeline } from "../timeline.ts";
import { writeTone } from "../tone.ts";
import { type Account, type Phone, RegistrationRefused, addressOfRecord } from "./phone.ts";

/** What baresip's ctrl_tcp module sends: netstrings of JSON, events and answers to commands on one connection. */
interface Message {
  readonly event?: boolean;
  readonly type?: string;
  readonly param?: string;
  readonly peeruri?: string;
  readonly response?: boolean;
  readonly ok?: boolean;
  readonly data?: string;
  readonly token?: string;
}

/** Starts baresip without sound hardware: a file is its microphone, a bridge to nowhere its loudspeaker. */
export async function startBaresip(account: Account): Promise<Phone> {
  const directory = await mkdtemp(join(tmpdir(), "tandem-baresip-"));
  const controlPort = await freePorts(1);
  await writeFile(join(directory, "config"), configuration(account, directory, controlPort));
  await writeTone(join(directory, "tone.wav"), 60);
  await writeFile(join(directory, "accounts"), "");
  await writeFile(join(directory, "contacts"), "");
  const program = new Program("baresip", ["-f", directory], { name: `baresip(${account.user})` });
  try {
    await program.line(/^baresip is ready/);
    const socket = connect(controlPort, "127.0.0.1");
    const phone = new Baresip(account, program, directory, socket);
    await phone.connected();
    return phone;
  } catch (error) {
    await program.stop();
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

class Baresip implements Phone {
  readonly make = "baresip";
  readonly sendsMedia = true;
  readonly account: Account;
  readonly #program: Program;
  readonly #directory: string;
  readonly #socket: Socket;
  readonly #messages = new Timeline<Message>((message) => JSON.stringify(message));
  #commands = 0;
  /** Events of the present call are searched from here. */
  #mark = 0;

  constructor(account: Account, program: Program, directory: string, socket: Socket) {
    this.account = account;
    this.#program = program;
    this.#directory = directory;
    this.#socket = socket;
    let buffered = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      buffered += chunk;
      buffered = this.#takeNetstrings(buffered);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => this.#messages.close(`${program.name} closed its control connection\n${program.lines.tail()}`));
  }

  async connected(): Promise<void> {
    await this.#command("listcalls", "");
  }

  async register(): Promise<void> {
    const since = this.#messages.length;
    await this.#command("uanew", accountLine(this.account));
    const result = await this.#event(`${this.#program.name} registers`, since, ["REGISTER_OK", "REGISTER_FAIL"]);
    if (result.type === "REGISTER_OK") return;
    throw new RegistrationRefused(Number.parseInt(result.param ?? "0", 10) || 0, result.param ?? "");
  }

  async call(uri: string): Promise<void> {
    this.#mark = this.#messages.length;
    await this.#command("dial", uri);
  }

  async ringback(): Promise<void> {
    await this.#callEvent("hears ringing", ["CALL_RINGING", "CALL_PROGRESS", "CALL_ESTABLISHED"]);
  }

  async ringing(): Promise<string> {
    const incoming = await this.#callEvent("rings", ["CALL_INCOMING"]);
    return incoming.peeruri ?? "";
  }

  async answer(): Promise<void> {
    await this.#command("accept", "");
  }

  async established(): Promise<void> {
    await this.#callEvent("has the call set up", ["CALL_ESTABLISHED"]);
  }

  async media(): Promise<void> {
    await this.#callEvent("receives media", ["CALL_RTPESTAB"]);
  }

  async hangup(): Promise<void> {
    await this.#command("hangup", "");
  }

  async ended(): Promise<string> {
    const since = this.#mark;
    const closed = await this.#event(`${this.#program.name}: the call ends`, since, ["CALL_CLOSED"], 35_000);
    this.#mark = this.#messages.length;
    return closed.param ?? "";
  }

  async stop(): Promise<void> {
    this.#socket.destroy();
    await this.#program.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #callEvent(what: string, types: readonly string[]): Promise<Message> {
    const event = await this.#event(`${this.#program.name} ${what}`, this.#mark, [...types, "CALL_CLOSED"]);
    if (event.type === "CALL_CLOSED") throw new Error(`${this.#program.name} ${what}: the call ended, ${event.param ?? ""}`);
    return event;
  }

  async #event(what: string, since: number, types: readonly string[], withinMs = 15_000): Promise<Message> {
    return await this.#messages.first(
      what,
      (message) => (message.event === true && types.includes(message.type ?? "") ? message : undefined),
      { since, withinMs },
    );
  }

  async #command(command: string, parameters: string): Promise<void> {
    this.#commands += 1;
    const token = String(this.#commands);
    const text = JSON.stringify({ command, params: parameters, token });
    this.#socket.write(`${Buffer.byteLength(text)}:${text},`);
    const answer = await this.#messages.first(`${this.#program.name} answers ${command}`, (message) =>
      message.response === true && message.token === token ? message : undefined,
    );
    if (answer.ok !== true) throw new Error(`${this.#program.name}: ${command} ${parameters}: ${answer.data ?? "failed"}`);
  }

  #takeNetstrings(buffered: string): string {
    let rest = buffered;
    for (;;) {
      const colon = rest.indexOf(":");
      const length = Number(rest.slice(0, Math.max(colon, 0)));
      if (colon < 1 || rest.length < colon + 1 + length + 1) return rest;
      this.#messages.push(JSON.parse(rest.slice(colon + 1, colon + 1 + length)) as Message);
      rest = rest.slice(colon + 1 + length + 1);
    }
  }
}

function accountLine(account: Account): string {
  const { server } = account;
  const transport = account.transport.toLowerCase();
  const parameters = [
    `auth_user=${account.user}`,
    `auth_pass=${account.password}`,
    `outbound="sip:${server.host}:${server.port};transport=${transport}"`,
    "regint=600",
    "answermode=manual",
    ...(account.webRtc === true ? ["mediaenc=dtls_srtp", "medianat=ice"] : []),
  ];
  return `<${addressOfRecord(account)};transport=${transport}>;${parameters.join(";")}`;
}

function configuration(account: Account, directory: string, controlPort: number): string {
  // ICE works with the addresses of real interfaces: everything but a WebRTC call stays on the loopback.
  const modules = [
    "g711.so",
    "aubridge.so",
    "aufile.so",
    "uuid.so",
    ...(account.webRtc === true ? ["srtp.so", "dtls_srtp.so", "ice.so"] : []),
  ];
  return [
    "poll_method epoll",
    "sip_listen 127.0.0.1:0",
    `sip_cafile ${account.caFile}`,
    "call_max_calls 4",
    `audio_source aufile,${join(directory, "tone.wav")}`,
    "audio_player aubridge,loudspeaker",
    "audio_alert aubridge,bell",
    `rtcp_mux ${account.webRtc === true ? "yes" : "no"}`,
    "jitter_buffer_delay 5-10",
    `ctrl_tcp_listen 127.0.0.1:${controlPort}`,
    "module_path /usr/lib/baresip/modules",
    ...modules.map((module) => `module ${module}`),
    "module_tmp account.so",
    "module_app menu.so",
    "module_app ctrl_tcp.so",
    "",
  ].join("\n");
}
