import { isParseError } from "../../../sip/errors.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";
import { HybridClock } from "../../../cluster/time/hybrid-clock.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import type { Binding } from "../../../sip/record/values.ts";
import { recordOfChange, type BindingChange } from "../../../sip/registrar/binding-change.ts";
import { DateTexts } from "../../../sip/message/date-texts.ts";
import { processRegister, type RegisterResult } from "../../../sip/registrar/register.ts";
import { targetsOf, type BindingTarget } from "../../../sip/registrar/targets.ts";
import { joinFlow, serializeFlowKey, type Transport } from "../../../sip/flow/flow.ts";

export const bob = "bob@example.test";

export function message(lines: readonly string[]): SipMessage {
  const parsed = parseMessage(octetsOf(`${lines.join("\r\n")}\r\n\r\n`));
  if (isParseError(parsed)) throw new Error(parsed.reason);
  return parsed;
}

export function flowOf(transport: Transport, address = "192.0.2.4", port = 5060, connection = "c1"): string {
  return joinFlow("g1", serializeFlowKey({ transport, listener: 0, connection: transport === "UDP" ? "" : connection, address, port }));
}

export type Register = {
  readonly contacts?: readonly string[];
  readonly callId?: string;
  readonly cSeq?: number;
  readonly headers?: readonly string[];
  readonly vias?: readonly string[];
  readonly flow?: string;
  readonly jitter?: number;
};

export function registerMessage(options: Register): SipMessage {
  return message([
    "REGISTER sip:example.test SIP/2.0",
    ...(options.vias ?? ["SIP/2.0/UDP 192.0.2.4;branch=z9hG4bK1"]).map((via) => `Via: ${via}`),
    "From: <sip:bob@example.test>;tag=1",
    "To: <sip:bob@example.test>",
    `Call-ID: ${options.callId ?? "boot-1"}`,
    `CSeq: ${options.cSeq ?? 1} REGISTER`,
    "Max-Forwards: 70",
    ...(options.contacts ?? []).map((contact) => `Contact: ${contact}`),
    ...(options.headers ?? []),
    "Content-Length: 0",
  ]);
}

/** A registrar with its records, and a clock that stands still. */
export class TestRegistrar {
  readonly store = new RecordStore();
  readonly clock = new HybridClock("a");
  now = 1_700_000_000_000;

  register(options: Register): RegisterResult {
    const result = processRegister({
      message: registerMessage(options),
      addressOfRecord: bob,
      flow: options.flow ?? flowOf("UDP"),
      now: this.now,
      date: new DateTexts().of(this.now),
      records: this.store.bindingsOf(bob),
      ...(options.jitter === undefined ? {} : { jitter: options.jitter }),
    });
    this.apply(result.changes);
    return result;
  }

  apply(changes: readonly BindingChange[]): void {
    for (const change of changes) this.store.apply(recordOfChange(change, this.clock.tick(this.now), this.now));
  }

  get bindings(): Binding[] {
    return this.store.bindingsOf(bob).flatMap(({ value }) => (value !== undefined && value.expiresAt > this.now ? [value] : []));
  }

  get contacts(): string[] {
    return this.bindings.map(({ contact }) => contact);
  }

  targets(isSecure = false): BindingTarget[] {
    return targetsOf(this.store.bindingsOf(bob), this.now, isSecure);
  }
}

export function headersOf(result: RegisterResult, name: string): string[] {
  return result.headers.filter(([each]) => each === name).map(([, value]) => value);
}
