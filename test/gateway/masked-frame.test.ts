import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { MaskKeys, maskedFrame } from "../../gateway/links/masked-frame.ts";

/** [RFC6455 5.2] as it stands there, one octet after the other. */
function unmasked(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  expect(view.getUint8(0)).toBe(0x82);
  const said = view.getUint8(1);
  expect(said & 0x80).toBe(0x80);
  const short = said & 0x7f;
  const [length, keyAt] =
    short === 126 ? [view.getUint16(2), 4] : short === 127 ? [Number(view.getBigUint64(2)), 10] : ([short, 2] as const);
  const payload = Uint8Array.from(frame.subarray(keyAt + 4));
  expect(payload.length).toBe(length);
  return payload.map((octet, i) => octet ^ (frame[keyAt + (i % 4)] ?? 0));
}

const sizes = [0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 129, 65_533, 65_534, 65_535, 65_536, 65_537, 200_001];

test.each(sizes)("[RFC6455 5.3] a payload of %i octets is masked, and the same again without the mask", (size) => {
  const payload = Uint8Array.from({ length: size }, (_, i) => (i * 31) & 255);
  const before = payload.slice();
  expect(Buffer.compare(unmasked(maskedFrame(payload, 0x12345678)), before)).toBe(0);
  // It is kept until it is acknowledged.
  expect(Buffer.compare(payload, before)).toBe(0);
});

test("[RFC6455 5.2] what other people's code reads is what was sent, whatever it is and wherever it lies", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = await once(server, "connection");
  const sockets = new WebSocketServer({ noServer: true });
  const opened = once(sockets, "connection");
  const request = {
    headers: { upgrade: "websocket", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13" },
    method: "GET",
  };
  sockets.handleUpgrade(request as never, socket as never, Buffer.alloc(0), (webSocket) => sockets.emit("connection", webSocket));
  const [webSocket] = await opened;
  const payloads = fc.sample(fc.tuple(fc.uint8Array({ maxLength: 400 }), fc.nat(7), fc.integer()), 300);
  const read: unknown[] = [];
  const all = new Promise<void>((resolve) => {
    webSocket.on("message", (octets: Buffer) => {
      read.push(octets.toString("hex"));
      if (read.length === payloads.length) resolve();
    });
  });
  for (const [octets, offset, key] of payloads) {
    const block = new Uint8Array(offset + octets.length);
    block.set(octets, offset);
    client.write(maskedFrame(block.subarray(offset), key));
  }
  await all;
  expect(read).toEqual(payloads.map(([octets]) => Buffer.from(octets).toString("hex")));
  client.destroy();
  server.close();
});

test("[RFC6455 5.3] keys are new ones each time", () => {
  const keys = new MaskKeys();
  const drawn = new Set(Array.from({ length: 2_000 }, () => keys.next()));
  // Two of them may be the same by chance, once in two thousand tests.
  expect(drawn.size).toBeGreaterThan(1_995);
  expect([...drawn].some((key) => key < 0) && [...drawn].some((key) => key > 0)).toBe(true);
});
