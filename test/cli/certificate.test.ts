import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureCertificate } from "../../cli/certificate.ts";
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
    const files = await ensureCertificate(state, "example.test", "127.0.0.1", now);
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
    await ensureCertificate(state, "example.test", "127.0.0.1", now);
    expect(["key.pem", "ca-key.pem"].map((name) => statSync(state.file("tls", name)).mode & 0o777)).toEqual([0o600, 0o600]);
  });

  it.each(["127.0.0.1", "::1"])("serves a handshake at %s that trusts only the authority", async (host) => {
    await ensureCertificate(state, "example.test", host, now);
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
    await ensureCertificate(state, "example.test", "127.0.0.1", now);
    const before = read("cert.pem");
    await ensureCertificate(state, "example.test", "127.0.0.1", daysLater(300));
    expect(read("cert.pem")).toBe(before);
  });

  it.each([
    ["its end is near", "127.0.0.1", 340, () => undefined],
    ["the address is another", "127.0.0.2", 0, () => undefined],
    ["the key is another's", "127.0.0.1", 0, () => writeFileSync(state.file("tls", "key.pem"), read("ca-key.pem"))],
    ["the file is damaged", "127.0.0.1", 0, () => writeFileSync(state.file("tls", "cert.pem"), "x")],
  ])("makes another one, of the same authority, when %s", async (_, host, days, change) => {
    await ensureCertificate(state, "example.test", "127.0.0.1", now);
    const before = { ca: read("ca.pem"), cert: read("cert.pem") };
    change();
    await ensureCertificate(state, "example.test", host, daysLater(days));
    expect(read("ca.pem")).toBe(before.ca);
    expect(read("cert.pem")).not.toBe(before.cert);
    const certificate = new X509Certificate(read("cert.pem"));
    expect(certificate.verify(new X509Certificate(read("ca.pem")).publicKey)).toBe(true);
    expect(certificate.checkIP(host)).toBe(host);
  });

  it("makes all of them again when the authority's key is lost", async () => {
    await ensureCertificate(state, "example.test", "127.0.0.1", now);
    const before = read("ca.pem");
    rmSync(state.file("tls", "ca-key.pem"));
    await ensureCertificate(state, "example.test", "127.0.0.1", now);
    expect(read("ca.pem")).not.toBe(before);
    expect(new X509Certificate(read("cert.pem")).verify(new X509Certificate(read("ca.pem")).publicKey)).toBe(true);
  });
});
