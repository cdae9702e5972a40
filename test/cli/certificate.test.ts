import { X509Certificate, createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { generate } from "selfsigned";
import { ensureCertificate, ownCertificate } from "../../cli/certificate.ts";
import { StateDirectory } from "../../cli/state-directory.ts";

const now = new Date();
const daysLater = (days: number): Date => new Date(now.getTime() + days * 86_400_000);
let state: StateDirectory;

beforeEach(() => {
  state = new StateDirectory(mkdtempSync(join(tmpdir(), "tandem-tls-")));
});

afterEach(() => rmSync(state.path, { recursive: true, force: true }));

const read = (name: string): string => readFileSync(state.file("tls", name), "utf8");

describe("ensureCertificate", () => {
  it("[RFC5922 7.1] names the domain as SIP URI and DNS name, the address, and localhost, for a year", async () => {
    const files = await ensureCertificate(state, "example.test", ["127.0.0.1"], now);
    expect(files).toEqual({
      ca: state.file("tls", "ca.pem"),
      certificate: state.file("tls", "cert.pem"),
      key: state.file("tls", "key.pem"),
    });
    const certificate = new X509Certificate(read("cert.pem"));
    expect(certificate.subjectAltName).toBe("URI:sip:example.test, DNS:example.test, DNS:localhost, IP Address:127.0.0.1");
    expect(Math.round((certificate.validToDate.getTime() - now.getTime()) / 86_400_000)).toBe(365);
    expect(certificate.ca).toBe(false);
    const authority = new X509Certificate(read("ca.pem"));
    expect(authority.ca).toBe(true);
    expect(certificate.checkIssued(authority)).toBe(true);
  });

  it("keeps both keys to their owner", async () => {
    await ensureCertificate(state, "example.test", ["127.0.0.1"], now);
    expect(["key.pem", "ca-key.pem"].map((name) => statSync(state.file("tls", name)).mode & 0o777)).toEqual([0o600, 0o600]);
  });

  it("has authorities of two machines known apart by who trusts both", async () => {
    const other = new StateDirectory(mkdtempSync(join(tmpdir(), "tandem-tls-")));
    try {
      for (const each of [other, state]) await ensureCertificate(each, "example.test", ["127.0.0.1"], now);
      const ca = [other, state].map((each) => readFileSync(each.file("tls", "ca.pem"), "utf8"));
      for (const each of [other, state]) {
        const [cert, key] = ["cert.pem", "key.pem"].map((name) => readFileSync(each.file("tls", name), "utf8"));
        const server = createServer({ cert, key }, (socket) => socket.end());
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        const address = server.address();
        const socket = connect({ port: typeof address === "object" ? (address?.port ?? 0) : 0, ca, servername: "example.test" });
        await once(socket, "secureConnect");
        expect(socket.authorized).toBe(true);
        socket.destroy();
        server.close();
      }
    } finally {
      rmSync(other.path, { recursive: true, force: true });
    }
  });

  it.each(["127.0.0.1", "::1"])("serves a handshake at %s that trusts only the authority", async (host) => {
    await ensureCertificate(state, "example.test", [host], now);
    const server = createServer({ cert: read("cert.pem"), key: read("key.pem") }, (socket) => socket.end());
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const socket = connect({ host: "127.0.0.1", port, ca: read("ca.pem"), servername: "example.test" });
    await once(socket, "secureConnect");
    expect(socket.authorized).toBe(true);
    expect(new X509Certificate(read("cert.pem")).checkIP(host)).toBe(host);
    socket.destroy();
    server.close();
  });

  it("keeps what is there and good", async () => {
    await ensureCertificate(state, "example.test", ["127.0.0.1"], now);
    const before = read("cert.pem");
    await ensureCertificate(state, "example.test", ["127.0.0.1"], daysLater(300));
    expect(read("cert.pem")).toBe(before);
  });

  it.each([
    ["its end is near", "127.0.0.1", 340, () => undefined],
    ["the address is another", "127.0.0.2", 0, () => undefined],
    ["the key is another's", "127.0.0.1", 0, () => writeFileSync(state.file("tls", "key.pem"), read("ca-key.pem"))],
    ["the file is damaged", "127.0.0.1", 0, () => writeFileSync(state.file("tls", "cert.pem"), "x")],
  ])("makes another one, of the same authority, when %s", async (_, host, days, change) => {
    await ensureCertificate(state, "example.test", ["127.0.0.1"], now);
    const before = { ca: read("ca.pem"), cert: read("cert.pem") };
    change();
    await ensureCertificate(state, "example.test", [host], daysLater(days));
    expect(read("ca.pem")).toBe(before.ca);
    expect(read("cert.pem")).not.toBe(before.cert);
    const certificate = new X509Certificate(read("cert.pem"));
    expect(certificate.verify(new X509Certificate(read("ca.pem")).publicKey)).toBe(true);
    expect(certificate.checkIP(host)).toBe(host);
  });

  it("makes all of them again when the authority's key is lost", async () => {
    await ensureCertificate(state, "example.test", ["127.0.0.1"], now);
    const before = read("ca.pem");
    rmSync(state.file("tls", "ca-key.pem"));
    await ensureCertificate(state, "example.test", ["127.0.0.1"], now);
    expect(read("ca.pem")).not.toBe(before);
    expect(new X509Certificate(read("cert.pem")).verify(new X509Certificate(read("ca.pem")).publicKey)).toBe(true);
  });

  it("keeps what it cannot tell to be its own under another name", async () => {
    await ensureCertificate(state, "example.test", ["127.0.0.1"], now);
    const key = read("key.pem");
    writeFileSync(state.file("tls", "cert.pem"), "half of somebody's certificate");
    await ensureCertificate(state, "example.test", ["127.0.0.1"], now);
    expect([read("cert.pem.1"), read("key.pem.1")]).toEqual(["half of somebody's certificate", key]);
    expect(new X509Certificate(read("cert.pem")).checkPrivateKey(createPrivateKey(read("key.pem")))).toBe(true);
  });

  it("replaces no certificate that somebody put there, be it good, expired or of another authority, and leaves all files as they are", async () => {
    for (const name of ["cert.pem", "ca.pem"]) {
      await ensureCertificate(state, "example.test", ["127.0.0.1"], now);
      const foreign = await foreignPair("example.test", 1);
      writeFileSync(state.file("tls", name), foreign.cert);
      if (name === "cert.pem") writeFileSync(state.file("tls", "key.pem"), foreign.key);
      const before = ["cert.pem", "key.pem", "ca.pem", "ca-key.pem"].map(read);
      for (const at of [now, daysLater(400)]) {
        await expect(ensureCertificate(state, "example.test", ["127.0.0.2"], at)).rejects.toThrow(
          `${state.file("tls", name)} is not of tandem's making, and is not replaced`,
        );
      }
      expect(["cert.pem", "key.pem", "ca.pem", "ca-key.pem"].map(read)).toEqual(before);
      for (const each of ["cert.pem", "key.pem", "ca.pem", "ca-key.pem"]) rmSync(state.file("tls", each));
    }
  });
});

async function foreignPair(domain: string, days: number, from = 0): Promise<{ readonly cert: string; readonly key: string }> {
  const made = await generate([{ name: "commonName", value: domain }], {
    algorithm: "sha256",
    keySize: 2048,
    notBeforeDate: daysLater(from),
    notAfterDate: daysLater(days),
    extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: domain }] }],
  });
  return { cert: made.cert, key: made.private };
}

describe("ownCertificate", () => {
  const names = ["example.test", "192.0.2.1"];
  let cert: string;
  let key: string;

  beforeEach(async () => {
    const made = await foreignPair("example.test", 10);
    [cert, key] = [state.file("my.pem"), state.file("my-key.pem")];
    writeFileSync(cert, made.cert);
    writeFileSync(key, made.key);
  });

  const begin = "-----BEGIN CERTIFICATE-----";
  const end = "-----END CERTIFICATE-----";
  const appendChain = (text: string): void => appendFileSync(cert, `\n${text}`);

  it("is taken with its chain", async () => {
    appendChain(`# the authority\n${(await foreignPair("ca.test", 10)).cert}`);
    expect(ownCertificate(cert, key, names, now).files.certificate).toBe(cert);
  });

  it("is used as it is; what it does not name is said", () => {
    expect(ownCertificate(cert, key, names, now)).toEqual({
      files: { ca: undefined, certificate: cert, key },
      unnamed: ["192.0.2.1"],
    });
  });

  it.each<[string, () => Promise<void> | void, string, number]>([
    ["is missing", () => rmSync(cert), "--tls-cert CERT: does not exist", 0],
    ["has no key", () => rmSync(key), "--tls-key KEY: does not exist", 0],
    ["is a directory", () => (rmSync(cert), mkdirSync(cert), undefined), "--tls-cert CERT: cannot be read (EISDIR)", 0],
    ["is none", () => writeFileSync(cert, "x"), "--tls-cert CERT: is no certificate in PEM", 0],
    ["has a key that is none", () => writeFileSync(key, "x"), "--tls-key KEY: is no private key in PEM", 0],
    [
      "has a key with a passphrase",
      () =>
        writeFileSync(
          key,
          createPrivateKey(readFileSync(key)).export({ type: "pkcs8", format: "pem", cipher: "aes-128-cbc", passphrase: "p" }),
        ),
      "--tls-key KEY: has a passphrase: take it off",
      0,
    ],
    [
      "has another one's key",
      async () => writeFileSync(key, (await foreignPair("example.test", 10)).key),
      "--tls-key KEY: is not the key of CERT",
      0,
    ],
    ["has expired", () => {}, `--tls-cert CERT: expired on ${daysLater(10).toISOString().slice(0, 10)}`, 11],
    ["is for later", () => {}, `--tls-cert CERT: is valid from ${now.toISOString().slice(0, 10)} on only`, -2],
    ["has a chain that cannot be read", () => appendChain(`${begin}\ngarbage\n${end}\n`), "certificate 2 of its chain cannot be read", 0],
    ["has a chain that does not end", () => appendChain(`${begin}\nMIIB\n`), "certificate 2 of its chain cannot be read", 0],
    [
      "has a chain with a damaged line",
      async () => appendChain((await foreignPair("ca.test", 10)).cert.replace(begin, begin.slice(2))),
      "--tls-cert CERT: a BEGIN or END line of a certificate is damaged",
      0,
    ],
    [
      "has a chain that has expired",
      async () => appendChain((await foreignPair("ca.test", 5)).cert),
      `--tls-cert CERT: certificate 2 of its chain expired on ${daysLater(5).toISOString().slice(0, 10)}`,
      6,
    ],
    [
      "has a chain that is for later",
      async () => appendChain((await foreignPair("ca.test", 20, 5)).cert),
      `--tls-cert CERT: certificate 2 of its chain is valid from ${daysLater(5).toISOString().slice(0, 10)} on only`,
      1,
    ],
  ])("one that %s is refused in one line", async (_, spoil, line, days) => {
    await spoil();
    expect(() => ownCertificate(cert, key, names, daysLater(days))).toThrow(line.replaceAll("CERT", cert).replaceAll("KEY", key));
  });
});
