import { freePorts } from "../../../kit/world/free-ports.ts";
import { type Account, type Phone, RegistrationRefused } from "./phone.ts";
import { type Sipp, startSipp } from "./sipp.ts";

/** Which session descriptions a SIPp phone gives: for phones, or for browsers. There is no media behind either. */
export type SippMedia = "rtp" | "webrtc";

/**
 * SIPp as a phone for signalling over UDP and TCP. It follows its scenarios: as a callee it answers by itself after 200 ms of ringing and waits
 * for the BYE; as a caller it hangs up by itself half a second after the answer. So `answer` and `hangup` have nothing left to do.
 */
export async function startSippPhone(account: Account, media: SippMedia): Promise<Phone> {
  return new SippPhone(account, media, await freePorts(1));
}

class SippPhone implements Phone {
  readonly make = "SIPp";
  readonly sendsMedia = false;
  readonly account: Account;
  readonly #media: SippMedia;
  readonly #port: number;
  /** The run that holds the registration, and answers. */
  #registered: Sipp | undefined;
  /** The run that calls. */
  #caller: Sipp | undefined;

  constructor(account: Account, media: SippMedia, port: number) {
    this.account = account;
    this.#media = media;
    this.#port = port;
  }

  async register(): Promise<void> {
    const sipp = await this.#start("phone-register", this.account.user, this.#port, `phone-callee-${this.#media}`);
    this.#registered = sipp;
    const [, refused] = await sipp.program.line(/^event: (?:registered|refused (\d+))/);
    if (refused !== undefined) throw new RegistrationRefused(Number(refused), refused);
  }

  async call(uri: string): Promise<void> {
    const user = /^sips?:([^@]+)@/.exec(uri)?.[1];
    if (user === undefined) throw new Error(`SIPp calls users of its own domain only, not ${uri}`);
    this.#caller = await this.#start(`phone-caller-${this.#media}`, user, await freePorts(1));
  }

  async ringback(): Promise<void> {
    await this.#event("ringback");
  }

  async ringing(): Promise<string> {
    await this.#event("invited");
    return "";
  }

  async answer(): Promise<void> {
    await this.#event("invited");
  }

  async established(): Promise<void> {
    await this.#event("established");
  }

  async media(): Promise<void> {
    throw new Error("SIPp has no media");
  }

  async hangup(): Promise<void> {
    await this.#event("ended");
  }

  async ended(): Promise<string> {
    await this.#event("ended");
    return "";
  }

  async stop(): Promise<void> {
    await this.#caller?.stop();
    await this.#registered?.stop();
  }

  async #event(name: string): Promise<void> {
    const sipp = this.#caller ?? this.#registered;
    if (sipp === undefined) throw new Error("this SIPp phone is neither registered nor calling");
    await sipp.program.line(new RegExp(`^event: ${name}`), { withinMs: 20_000 });
  }

  async #start(scenario: string, service: string, localPort: number, incoming?: string): Promise<Sipp> {
    const { user, domain, password, server, transport } = this.account;
    if (transport !== "UDP" && transport !== "TCP") throw new Error(`SIPp has no ${transport} here`);
    return await startSipp({
      scenario,
      transport,
      server,
      localPort,
      service,
      user,
      password,
      calls: 1,
      variables: incoming === undefined ? { domain, caller: user } : { domain },
      ...(incoming === undefined ? { digestUri: `${service}@${domain}` } : { incoming }),
    });
  }
}
