import { generateKeyPairSync, sign, verify } from "node:crypto";
import { expect, it } from "vitest";
import { certificateRequest } from "../../../cluster/authority/certificate-request.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const spki = publicKey.export({ type: "spki", format: "der" });
const request = (names: readonly string[]): Buffer =>
  Buffer.from(certificateRequest(names, spki, (octets) => sign("sha256", octets, privateKey)));

/** A value of DER at an offset: where its content begins, and where it ends. */
function valueAt(octets: Buffer, at: number): { readonly start: number; readonly end: number } {
  const first = octets[at + 1] ?? 0;
  const more = first < 0x80 ? 0 : first & 0x7f;
  const length = more === 0 ? first : octets.readUIntBE(at + 2, more);
  return { start: at + 2 + more, end: at + 2 + more + length };
}

it("[RFC2986] is signed by its key, and has names and key in their places", () => {
  const made = request(["pbx.example.org", "example.org"]);
  const whole = valueAt(made, 0);
  expect(whole.end).toBe(made.length);
  const info = valueAt(made, whole.start);
  const algorithm = valueAt(made, info.end);
  const signature = made.subarray(valueAt(made, algorithm.end).start + 1);
  expect(verify("sha256", made.subarray(whole.start, info.end), publicKey, signature)).toBe(true);
  // Version 1, an empty subject, the key.
  const front = Buffer.concat([Buffer.of(2, 1, 0, 0x30, 0), spki]);
  expect(made.subarray(info.start, info.start + front.length).equals(front)).toBe(true);
  // extensionRequest with a subjectAltName of two dNSNames.
  const attributes = made.subarray(info.start + front.length, info.end).toString("latin1");
  expect(attributes).toContain("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e");
  expect(attributes).toContain("\x06\x03\x55\x1d\x11\x04\x20\x30\x1e\x82\x0fpbx.example.org\x82\x0bexample.org");
});

it("refuses what is no name", () => {
  expect(() => request(["not a name"])).toThrow("not a name is no address");
});
