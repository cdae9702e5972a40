import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { comesTrue } from "../../../kit/world/until.ts";
import { Program } from "../program.ts";
import { type Account, type Phone, RegistrationRefused, addressOfRecord } from "./phone.ts";

/**
 * A paragraph that linphone-daemon prints: the answer to a command (`Status: Ok`, then fields), or an event (`Event-type: ...`) that comes
 * by itself. Nothing marks its end, so a reader waits for the field it needs.
 */
interface Paragraph {
  readonly kind: "answer" | "event";
  readonly fields: Map<string, string>;
}

type Fields = ReadonlyMap<string, string>;

/** How often a condition is asked for that the daemon does not tell by itself. */
const pollPeriodMs = 50;
const patienceMs = 15_000;

export interface LinphoneOptions {
  /** A file that it sees as /etc/resolv.conf, for which this user must be root. It finds its server by DNS then, and the account's is not looked at. */
  readonly resolver?: string;
}

/** Hides a file of the machine from one program. */
const withResolver = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"'];

/** Starts linphone-daemon, commanded over stdin, in a home directory of its own. */
export async function startLinphone(account: Account, { resolver }: LinphoneOptions = {}): Promise<Phone> {
  const home = await mkdtemp(join(tmpdir(), "tandem-linphone-"));
  await mkdir(join(home, ".local", "share", "linphone"), { recursive: true });
  await writeFile(join(home, "linphonerc"), configuration(account, resolver !== undefined));
  const daemon = ["linphone-daemon", "--config", join(home, "linphonerc"), "--log", join(home, "linphone.log")];
  const [command = "", ...args] = resolver === undefined ? daemon : [...withResolver, resolver, ...daemon];
  const program = new Program(command, args, {
    name: `linphone(${account.user})`,
    env: { ...process.env, HOME: home },
  });
  const phone = new Linphone(account, program, home);
  try {
    await phone.started();
    return phone;
  } catch (error) {
    await phone.stop();
    throw error;
  }
}

class Linphone implements Phone {
  readonly make = "linphone";
  /** Without a sound card it only listens. */
  readonly sendsMedia = false;
  readonly account: Account;
  readonly #program: Program;
  readonly #home: string;
  #queue: Promise<unknown> = Promise.resolve();
  #mark = 0;
  #callId = "";

  constructor(account: Account, program: Program, home: string) {
    this.account = account;
    this.#program = program;
    this.#home = home;
  }

  async started(): Promise<void> {
    await this.#ask("version", "Version");
  }

  async register(): Promise<void> {
    // The account is in the configuration (the command `register` takes no route for calls), so the program registers from its start on.
    const state = await this.#poll("registers", async () => {
      const now = await this.#ask("register-status 1", "State");
      return now === "LinphoneRegistrationOk" || now === "LinphoneRegistrationFailed" ? now : undefined;
    });
    if (state === "LinphoneRegistrationOk") return;
    const status = await this.#lastStatus("REGISTER");
    throw new RegistrationRefused(status, `${state}, the last answer was ${status}`);
  }

  async call(uri: string): Promise<void> {
    this.#mark = this.#program.lines.length;
    this.#callId = await this.#ask(`call ${uri}`, "Id");
  }

  async ringback(): Promise<void> {
    await this.#callState("hears ringing", ["LinphoneCallOutgoingRinging", "LinphoneCallConnected"]);
  }

  async ringing(): Promise<string> {
    const incoming = await this.#callState("rings", ["LinphoneCallIncomingReceived"]);
    this.#callId = incoming.get("Id") ?? "";
    return incoming.get("From") ?? "";
  }

  async answer(): Promise<void> {
    await this.#ask(`answer ${this.#callId}`, "Status");
  }

  async established(): Promise<void> {
    await this.#callState("has the call set up", ["LinphoneCallStreamsRunning"]);
  }

  async media(): Promise<void> {
    // No packet count is given (and the command `call-stats` crashes 5.1.65 in an audio call, so its events must do);
    // a jitter buffer that holds something says that packets come.
    await this.#event("receives media", (fields) => Number(fields.get("JitterBufferSizeMs") ?? 0) > 0);
  }

  async hangup(): Promise<void> {
    await this.#ask(`terminate ${this.#callId}`, "Status");
  }

  async ended(): Promise<string> {
    const end = await this.#event("sees the call end", isState(["LinphoneCallEnd", "LinphoneCallError"]), 35_000);
    this.#mark = this.#program.lines.length;
    return end.get("Event") ?? "";
  }

  async stop(): Promise<void> {
    await this.#program.stop();
    await this.#queue;
    await rm(this.#home, { recursive: true, force: true });
  }

  async #callState(what: string, states: readonly string[]): Promise<Fields> {
    const event = await this.#event(what, isState([...states, "LinphoneCallEnd", "LinphoneCallError"]));
    if (states.includes(event.get("Event") ?? "")) return event;
    const status = await this.#lastStatus("INVITE");
    throw new Error(`${this.#program.name} ${what}: the call ended, the last answer was ${status}\n${this.#program.lines.tail()}`);
  }

  async #event(what: string, matches: (fields: Fields) => boolean, withinMs = 15_000): Promise<Fields> {
    const since = this.#mark;
    return await this.#program.lines.first(
      `${this.#program.name} ${what}`,
      () =>
        paragraphs(this.#program.lines.events.slice(since))
          .filter(({ kind, fields }) => kind === "event" && fields.has("Id"))
          .map(({ fields }) => fields)
          .find(matches),
      { since, withinMs },
    );
  }

  async #poll<R>(what: string, probe: () => Promise<R | undefined>): Promise<R> {
    const last: { found: R | undefined } = { found: undefined };
    await comesTrue(async () => (last.found = await probe()) !== undefined, patienceMs, pollPeriodMs);
    if (last.found !== undefined) return last.found;
    throw new Error(`${this.#program.name} ${what}: not in time\n${this.#program.lines.tail()}`);
  }

  /** One command at a time; the value of the field `last`, with which the answer is complete. */
  async #ask(command: string, last: string): Promise<string> {
    const asked = this.#queue.then(async () => await this.#exchange(command, last));
    this.#queue = asked.catch(() => undefined);
    return await asked;
  }

  async #exchange(command: string, last: string): Promise<string> {
    const since = this.#program.lines.length;
    this.#program.write(`${command}\n`);
    const answer = await this.#program.lines.first(
      `${this.#program.name} answers ${command}`,
      () =>
        paragraphs(this.#program.lines.events.slice(since)).find(
          ({ kind, fields }) => kind === "answer" && (fields.has(last) || fields.has("Reason")),
        ),
      { since },
    );
    if (answer.fields.get("Status") !== "Ok") {
      throw new Error(`${this.#program.name}: ${command}: ${answer.fields.get("Reason") ?? "failed"}`);
    }
    return answer.fields.get(last) ?? "";
  }

  /** The last final answer to a method in the program's log, which has all its SIP; 0 when there is none. */
  async #lastStatus(method: string): Promise<number> {
    const log = await readFile(join(this.#home, "linphone.log"), "utf8");
    const answers = log.split(/^(?=SIP\/2\.0 )/m).filter((part) => new RegExp(`^CSeq: *\\d+ ${method}`, "m").test(part));
    return Number(/^SIP\/2\.0 ([2-6]\d\d)/.exec(answers.at(-1) ?? "")?.[1] ?? 0);
  }
}

function isState(states: readonly string[]): (fields: Fields) => boolean {
  return (fields) => states.includes(fields.get("Event") ?? "");
}

function paragraphs(lines: readonly string[]): Paragraph[] {
  const found: Paragraph[] = [];
  for (const line of lines) {
    const [, name, value] = /^([A-Z][\w -]*): ?(.*)$/.exec(line.replace(/^daemon-linphone>/, "")) ?? [];
    if (name === undefined || value === undefined) continue;
    if (name === "Status") found.push({ kind: "answer", fields: new Map() });
    if (name === "Event-type") found.push({ kind: "event", fields: new Map() });
    found.at(-1)?.fields.set(name, value);
  }
  return found;
}

function configuration(account: Account, isByDns: boolean): string {
  const { server, transport, domain } = account;
  const proxy = `sip:${isByDns ? domain : `${server.host}:${server.port}`};transport=${transport.toLowerCase()}`;
  const own = { UDP: "sip_port", TCP: "sip_tcp_port", TLS: "sip_tls_port", WS: "sip_port" }[transport];
  const ports = ["sip_port", "sip_tcp_port", "sip_tls_port"].map((key) => `${key}=${key === own ? -1 : 0}`);
  return [
    "[sip]",
    ...ports,
    `root_ca=${account.caFile}`,
    // mbed TLS finds no name in a certificate when the server is given as an address.
    "verify_server_cn=0",
    "use_ipv6=0",
    "default_proxy=0",
    "[rtp]",
    "audio_rtp_port=-1",
    "[proxy_0]",
    `reg_identity=${addressOfRecord(account)}`,
    `reg_proxy=<${proxy}>`,
    ...(isByDns ? [] : [`reg_route=<${proxy};lr>`]),
    "reg_expires=600",
    "reg_sendregister=1",
    "[auth_info_0]",
    `username=${account.user}`,
    `passwd=${account.password}`,
    `realm=${account.domain}`,
    `domain=${account.domain}`,
    "",
  ].join("\n");
}
