import type { WallMs } from "../../sip/time.ts";

/**
 * What goes over a WebSocket between a line and an exchange of another cell. Either side asks, and the other one answers each question. Layout, big-endian:
 *
 *     u8 kind | u32 number | f64 time | octets
 *
 * Each side numbers its own questions. The other parts of the system have to be of one version to open it, so it has none of its own.
 */
export const QuestionKind = {
  /** time: until when it is wanted by the clock of who is asked, NaN: who asks does not know that; octets: a frame. */
  question: 1,
  /** Of the next three time is what the clock of who answers says. octets: the frame that answers. */
  answer: 2,
  /** It came too late, or named no time. Nothing new has come of it. */
  late: 3,
  /** octets: why it was not taken, as text. */
  failure: 4,
  /** Whoever says this has answered all that it has taken, and takes nothing more. */
  end: 5,
} as const;

type QuestionKind = (typeof QuestionKind)[keyof typeof QuestionKind];

/** One message. */
export type Message = { readonly kind: QuestionKind; readonly number: number; readonly time: WallMs; readonly octets: Uint8Array };

const headerOctets = 13;
const noOctets = new Uint8Array(0);

export function encodeMessage(kind: QuestionKind, number: number, time: WallMs, octets: Uint8Array = noOctets): Uint8Array {
  const message = new Uint8Array(headerOctets + octets.length);
  const view = new DataView(message.buffer);
  message[0] = kind;
  view.setUint32(1, number);
  view.setFloat64(5, time);
  message.set(octets, headerOctets);
  return message;
}

/** Its octets are a view into the message. Undefined: {@link encodeMessage} cannot have made that. */
export function decodeMessage(message: Uint8Array): Message | undefined {
  if (message.length < headerOctets) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const kind = kinds.find((each) => each === message[0]);
  if (kind === undefined) return undefined;
  return { kind, number: view.getUint32(1), time: view.getFloat64(5), octets: message.subarray(headerOctets) };
}

const kinds = Object.values(QuestionKind);
