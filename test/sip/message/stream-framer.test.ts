import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { messageOctetsMax } from "../../../sip/limits.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { StreamFramer } from "../../../sip/message/stream-framer.ts";
import type { FramerEvent } from "../../../sip/message/stream-framer.ts";

function message(body: string, name = "Content-Length"): string {
  return `MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a\r\nFrom: sip:a@b\r\nTo: sip:c@d\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n${name}: ${body.length}\r\n\r\n${body}`;
}

function named(event: FramerEvent): string {
  if (event.type === "message") return stringOf(event.octets);
  return event.type === "error" ? `error ${event.error.status} ${event.error.error}` : event.type;
}

function events(...chunks: readonly string[]): string[] {
  const framer = new StreamFramer();
  return chunks.flatMap((chunk) => framer.push(octetsOf(chunk)).map(named));
}

describe("[RFC3261 18.3] StreamFramer", () => {
  test("messages of one chunk come at once, without a copy", () => {
    const chunk = octetsOf(message("one") + message("") + message("\r\n\r\n"));
    const found = new StreamFramer().push(chunk);
    expect(found.map(named)).toEqual([message("one"), message(""), message("\r\n\r\n")]);
    for (const event of found) expect(event.type === "message" && event.octets.buffer).toBe(chunk.buffer);
  });

  test("any one split, and octet by octet: the same messages", () => {
    const stream = message("body\r\n\r\n") + message("", "l") + "\r\n\r\n" + message("INVITE sip:a SIP/2.0\r\n\r\n");
    const expected = events(stream);
    expect(expected).toHaveLength(4);
    for (let split = 0; split <= stream.length; split++) {
      const found = events(stream.slice(0, split), stream.slice(split));
      expect(found.filter((event) => event !== "pong")).toEqual(expected);
    }
    expect(events(...stream).filter((event) => event !== "pong")).toEqual(expected);
  });

  test("any splits of any messages and pings", () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary-ascii" }).map((body) => message(body)),
      fc.constant("\r\n\r\n"),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), fc.array(fc.nat(400), { maxLength: 30 }), (pieces, sizes) => {
        const stream = pieces.join("");
        const framer = new StreamFramer();
        const found: string[] = [];
        let at = 0;
        for (const size of [...sizes, stream.length]) {
          found.push(...framer.push(octetsOf(stream.slice(at, at + size))).map(named));
          at += size;
        }
        expect(found.filter((event) => event !== "pong")).toEqual(pieces.map((each) => (each === "\r\n\r\n" ? "ping" : each)));
        expect(framer.buffered).toBe(0);
      }),
    );
  });

  test("messages that came in several chunks do not change when more comes", () => {
    const framer = new StreamFramer();
    framer.push(octetsOf(message("one").slice(0, 50)));
    const [first] = framer.push(octetsOf(message("one").slice(50)));
    framer.push(octetsOf(message("two").slice(0, 60)));
    framer.push(octetsOf(message("two").slice(60)));
    expect(first === undefined ? "" : named(first)).toBe(message("one"));
  });

  test("folds and white space around Content-Length", () => {
    const text = "BYE sip:a SIP/2.0\r\nX: Content-Length: 9\r\nCONTENT-length :\r\n  2 \r\n\r\nab";
    expect(events(text + text)).toEqual([text, text]);
  });

  test("[RFC3261 7] a first line that is no start line breaks the stream at its end, whatever the chunks", () => {
    const good = message("one");
    for (const junk of ["v=0\r\n", "m =audio 49217 RTP/AVP 0\r\nc=IN", "GET / HTTP/1.1\r\n"]) {
      for (let split = 0; split <= junk.length; split++) {
        const found = events(good + junk.slice(0, split), junk.slice(split));
        expect(found).toEqual([good, "error 400 stream"]);
      }
    }
    // One that is any is waited for.
    expect(events(good + "sip/2.0 200 OK\r\nVia: ")).toEqual([good]);
    expect(events(good + "BYE sip:a Sip/2.0\r\nVia: ")).toEqual([good]);
  });

  test("buffered tells what is held", () => {
    const framer = new StreamFramer();
    framer.push(octetsOf("BYE sip"));
    expect(framer.buffered).toBe(7);
    framer.push(octetsOf(":a SIP/2.0\r\nl: 5\r\n\r\nab"));
    expect(framer.buffered).toBe(29);
    framer.push(octetsOf("cde"));
    expect(framer.buffered).toBe(0);
  });
});

describe("[RFC5626 3.5.1] keep-alives", () => {
  test("CRLFCRLF is a ping, wherever it is split between chunks", () => {
    expect(events("\r\n\r\n")).toEqual(["ping"]);
    expect(events("\r\n\r\n\r\n\r\n")).toEqual(["ping", "ping"]);
    expect(events("\r", "\n\r\n")).toEqual(["ping"]);
    expect(events("\r\n\r", "\n")).toEqual(["ping"]);
    expect(events(`${message("")}\r\n\r\n${message("")}`)).toEqual([message(""), "ping", message("")]);
  });

  test("a single CRLF is a pong, told when it comes", () => {
    expect(events("\r\n")).toEqual(["pong"]);
    expect(events(`\r\n${message("")}`)).toEqual(["pong", message("")]);
    expect(events("\r\n", message(""))).toEqual(["pong", message("")]);
  });

  test("a ping in two halves is a pong and a ping: the first half cannot be told from a pong", () => {
    expect(events("\r\n", "\r\n")).toEqual(["pong", "ping"]);
    expect(events(..."\r\n\r\n")).toEqual(["pong", "ping"]);
  });

  test.each(["\n", "\rx", "\r\r", "\r\n\n", "\r\n\r\r", " ", "\0", "\x16\x03\x01"])("%j begins no message", (text) => {
    expect(events(text).at(-1)).toBe("error 400 stream");
    expect(events(...text).at(-1)).toBe("error 400 stream");
  });
});

describe("errors break the stream", () => {
  const headers = "Via: SIP/2.0/TCP a\r\nFrom: sip:a@b\r\nTo: sip:c@d\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n";

  test.each([
    ["", "content-length"],
    ["Content-Length: x\r\n", "content-length"],
    ["Content-Length: -5\r\n", "content-length"],
    ["Content-Length:\r\n", "content-length"],
    ["l: 1\r\nl: 1\r\n", "content-length"],
    ["l: 1\r\nl: 2\r\n", "content-length"],
  ])("[RFC3261 18.3] Content-Length %j: 400, with a request to answer", (line, code) => {
    const text = `BYE sip:a SIP/2.0\r\n${headers}${line}\r\n`;
    for (const chunks of [[text], [...text]]) {
      const framer = new StreamFramer();
      const found = chunks.flatMap((chunk) => framer.push(octetsOf(chunk)));
      expect(found).toMatchObject([{ type: "error", error: { status: 400, error: code, message: { callId: "x" } } }]);
      expect(framer.push(octetsOf(message("")))).toEqual([]);
      expect(framer.buffered).toBe(0);
    }
  });

  test("a malformed header that is not Content-Length is the parser's affair", () => {
    const text = "BYE sip:a SIP/2.0\r\nnonsense\r\nl: 0\r\n\r\n";
    expect(events(text)).toEqual([text]);
  });

  test("a Content-Length over the limit is refused before anything is allocated for it", () => {
    const text = `BYE sip:a SIP/2.0\r\n${headers}l: 99999999999999999999\r\n\r\n`;
    const framer = new StreamFramer();
    expect(framer.push(octetsOf(text))).toMatchObject([{ type: "error", error: { status: 513, message: {} } }]);
    expect(framer.buffered).toBe(0);
  });

  test("headers without an end are refused at the limit", () => {
    const framer = new StreamFramer({ messageOctetsMax: 1000 });
    const line = octetsOf("x: aaaaaa\r\n");
    const start = octetsOf("BYE sip:a SIP/2.0\r\n");
    let found: FramerEvent[] = framer.push(start);
    let pushed = start.length;
    for (; found.length === 0 && pushed < 2000; pushed += line.length) found = framer.push(line);
    expect(found).toMatchObject([{ type: "error", error: { status: 513 } }]);
    expect(pushed).toBeLessThanOrEqual(1000 + line.length);
  });

  test("a message of exactly the limit passes, one octet more does not", () => {
    const max = 500;
    const rest = max - message("b".repeat(100)).length + 100;
    const framer = new StreamFramer({ messageOctetsMax: max });
    expect(framer.push(octetsOf(message("b".repeat(rest)))).map((event) => event.type)).toEqual(["message"]);
    expect(framer.push(octetsOf(message("b".repeat(rest + 1)))).map(named)).toEqual(["error 513 message-max"]);
  });

  test("work is linear: 64 KiB octet by octet looks at each octet a few times", () => {
    const stream = octetsOf(message("x".repeat(messageOctetsMax - 1000)));
    const framer = new StreamFramer();
    let found = 0;
    for (let i = 0; i < stream.length; i++) found += framer.push(stream.subarray(i, i + 1)).length;
    expect(found).toBe(1);
    const head = octetsOf(`BYE sip:a SIP/2.0\r\n${"x: a\r\n".repeat(10_000)}`);
    const slow = new StreamFramer();
    for (let i = 0; i < head.length; i++) slow.push(head.subarray(i, i + 1));
    expect(slow.buffered).toBe(head.length);
  });

  test("any octets, any splits: never throws, never holds more than the limit", () => {
    const chunk = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.constantFrom("\r\n", "\r\n\r\n", "l: 3\r\n", "BYE sip:a SIP/2.0\r\n", "abc").map(octetsOf),
    );
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 20 }), (chunks) => {
        const framer = new StreamFramer({ messageOctetsMax: 200 });
        for (const each of chunks) {
          framer.push(each);
          expect(framer.buffered).toBeLessThanOrEqual(200);
        }
      }),
    );
  });
});
