import type { TestExchange, TestPhone, Sent } from "./harness.ts";

/** How each message begins. */
export function startsOf(sent: readonly Sent[]): string[] {
  return sent.map((each) => each.text.slice(0, 11));
}

/** The same of all but provisional responses. */
export function finals(sent: readonly Sent[]): string[] {
  return startsOf(sent).filter((start) => !start.startsWith("SIP/2.0 1"));
}

/** The first message that begins so. */
export function found(sent: readonly Sent[], start: string): Sent {
  const message = sent.find((each) => each.text.startsWith(start));
  if (message === undefined) throw new Error(`no ${start} among ${startsOf(sent).join(" | ")}`);
  return message;
}

/** A phone registers, and is told so. */
export function register(world: TestExchange, phone: TestPhone): void {
  found(world.receive(phone.key, phone.register(), phone.access), "SIP/2.0 200");
}
