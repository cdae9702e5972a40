/** What certificates are written in: DER (X.690), as far as ours need it. */

const tags = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  text: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  time: 0x18,
} as const;

/** One value: tag, length, content. */
export function value(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, { length: octets }) => sum + octets, 0);
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  if (length > 0xffff) throw new RangeError(`${length} octets are no certificate of ours`);
  const octets = new Uint8Array(head.length + length);
  octets.set(head);
  let at = head.length;
  for (const content of contents) {
    octets.set(content, at);
    at += content.length;
  }
  return octets;
}

export function sequence(...contents: readonly Uint8Array[]): Uint8Array {
  return value(tags.sequence, ...contents);
}

export function setOf(...contents: readonly Uint8Array[]): Uint8Array {
  return value(tags.set, ...contents);
}

/** A number from 0 to 127. */
export function smallInteger(number: number): Uint8Array {
  return value(tags.integer, Uint8Array.of(number));
}

/** Octets as a positive number that is not 0 (RFC 5280 4.1.2.2). */
export function serialNumber(octets: Uint8Array): Uint8Array {
  const content = Uint8Array.from(octets);
  content[0] = ((content[0] ?? 0) & 0x7f) | 0x40;
  return value(tags.integer, content);
}

/** `unused`: how many of the last bits do not count. */
export function bitString(octets: Uint8Array, unused = 0): Uint8Array {
  return value(tags.bitString, Uint8Array.of(unused), octets);
}

export function octetString(octets: Uint8Array): Uint8Array {
  return value(tags.octetString, octets);
}

export function utf8(octets: Uint8Array): Uint8Array {
  return value(tags.text, octets);
}

export const yes: Uint8Array = Uint8Array.of(0x01, 0x01, 0xff);

/** Letters, digits and signs of ASCII. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0x7f);
}

/** An object identifier in dots. Its first two numbers are small, the others below 2^21. */
export function identifier(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const octets = rest.flatMap((number) =>
    [number >> 14, number >> 7, number].flatMap((part, index, parts) => {
      const isLast = index === parts.length - 1;
      return isLast ? [part & 0x7f] : part === 0 ? [] : [(part & 0x7f) | 0x80];
    }),
  );
  return value(0x06, Uint8Array.of(40 * first + second, ...octets));
}

/** A moment, in whole seconds (RFC 5280 4.1.2.5: of two digits for the year until 2049). `ms`: since the epoch. */
export function moment(ms: number): Uint8Array {
  const [date = "", time = ""] = new Date(ms).toISOString().split(/[T.]/);
  const text = `${date.replaceAll("-", "")}${time.replaceAll(":", "")}Z`;
  return Number(text.slice(0, 4)) < 2050 ? value(tags.utcTime, ascii(text.slice(2))) : value(tags.time, ascii(text));
}
