import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";
import { freePorts } from "../../../kit/world/free-ports.ts";
import { Program } from "../program.ts";

/** Debian's pebble, an authority that speaks ACME as Let's Encrypt does, and a name server for it. */
export class Pebble {
  readonly directory: string;
  /** A file with what its own certificate is checked against. */
  readonly caFile: string;
  /** Where it looks for answers to its challenges. */
  readonly challengePort: number;
  readonly #folder: string;
  readonly #managementPort: number;
  readonly #program: Program;
  readonly #names: Socket;

  private constructor(folder: string, firstPort: number, program: Program, names: Socket) {
    this.directory = `https://127.0.0.1:${firstPort}/dir`;
    this.#managementPort = firstPort + 1;
    this.challengePort = firstPort + 2;
    this.caFile = join(folder, "ca.pem");
    this.#folder = folder;
    this.#program = program;
    this.#names = names;
  }

  /** Its certificates are good for so many seconds. `addressOf`: where a name leads to, an IPv4 address. */
  static async start(seconds: number, addressOf: (name: string) => string): Promise<Pebble> {
    const folder = mkdtempSync(join(tmpdir(), "tandem-pebble-"));
    const firstPort = await freePorts(4);
    const made = await generate([{ name: "commonName", value: "pebble" }], {
      keyType: "ec",
      extensions: [
        { name: "basicConstraints", cA: true },
        { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] },
      ],
    });
    writeFileSync(join(folder, "ca.pem"), made.cert);
    writeFileSync(join(folder, "key.pem"), made.private, { mode: 0o600 });
    const pebble = {
      listenAddress: `127.0.0.1:${firstPort}`,
      managementListenAddress: `127.0.0.1:${firstPort + 1}`,
      certificate: join(folder, "ca.pem"),
      privateKey: join(folder, "key.pem"),
      httpPort: firstPort + 2,
      tlsPort: firstPort + 3,
      ocspResponderURL: "",
      externalAccountBindingRequired: false,
      certificateValidityPeriod: seconds,
    };
    writeFileSync(join(folder, "pebble.json"), JSON.stringify({ pebble }));
    const names = await nameServer(addressOf);
    // Every fifth nonce is refused, as it may be in life; it does not wait before it looks.
    const env = { ...process.env, PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "20" };
    const program = new Program("pebble", ["-config", join(folder, "pebble.json"), "-dnsserver", `127.0.0.1:${names.address().port}`], {
      env,
    });
    const started = new Pebble(folder, firstPort, program, names);
    try {
      await program.line(/Listening on|ACME directory available/);
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  /** The authority that everybody is to trust, PEM. */
  root(): Promise<string> {
    return new Promise((found, failed) => {
      const options = { port: this.#managementPort, host: "127.0.0.1", path: "/roots/0", ca: readFileSync(this.caFile), agent: false };
      const outgoing = request(options, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => void (text += chunk));
        response.once("end", () => found(text));
      });
      outgoing.once("error", failed);
      outgoing.end();
    });
  }

  async stop(): Promise<void> {
    await this.#program.stop();
    this.#names.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Answers every question for an IPv4 address, and has nothing else. */
async function nameServer(addressOf: (name: string) => string): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.on("message", (asked, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = asked[at] ?? 0; length > 0; length = asked[at] ?? 0) {
      labels.push(asked.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const question = asked.subarray(12, at + 5);
    const isAddress = asked.readUInt16BE(at + 1) === 1;
    const header = Buffer.alloc(12);
    asked.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8580, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(isAddress ? 1 : 0, 6);
    const address = addressOf(labels.join(".").toLowerCase()).split(".").map(Number);
    const answer = Buffer.from([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address]);
    socket.send(Buffer.concat([header, question, ...(isAddress ? [answer] : [])]), from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}
