import type { Link, Target } from "../../../kit/phone/link.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";
import { parsed } from "./messages.ts";

/** A link that keeps what was said on it. */
export class FakeLink implements Link {
  readonly target: Target;
  readonly isReliable: boolean;
  readonly said: SipMessage[] = [];
  readonly via: string;
  readonly contactHost: string;
  isOpen = true;
  pings = 0;
  closedFor: string | undefined;

  constructor(name: string, isReliable: boolean) {
    this.target = { name, host: "192.0.2.9", port: 5060 };
    this.isReliable = isReliable;
    this.contactHost = `${name}.invalid`;
    this.via = `SIP/2.0/${isReliable ? "TCP" : "UDP"} ${name}.invalid`;
  }

  send(octets: Uint8Array): void {
    this.said.push(parsed(octets));
  }

  ping(): void {
    this.pings += 1;
  }

  close(why: string): void {
    this.closedFor = why;
  }

  /** The methods and branches that were said. */
  get branches(): string[] {
    return this.said.map((message) => `${message.method} ${/;branch=z9hG4bK(\w+)/.exec(message.valuesOf("Via")[0] ?? "")?.[1]}`);
  }
}
