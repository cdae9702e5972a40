import { chmodSync, closeSync, openSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { codeOf, Failure, reasonOf } from "./errors.ts";
import { isTable, isText, type Table } from "./json.ts";
import type { StateDirectory } from "./state-directory.ts";

/**
 * How commands reach `tandem up` of a state directory: a socket in it that only its owner may open. A connection carries one request and its answer, each a line of
 * JSON: `{"version":1,"ask":"cell add",...}`, and `{"answer":...}` or `{"error":"..."}`.
 */

/** Of the form of requests and answers. Who is asked in another one says so. */
const controlVersion = 1;
const socketName = "control";
/** Linux takes 107 octets as the path of a socket, macOS 103. */
const pathOctetsMax = 103;
/** A request is a few words. */
const requestOctetsMax = 65_536;
/** A command writes its request at once, and reads the answer at once. */
const requestMsMax = 10_000;
/** Commands are typed by people, and each has one connection. More are closed as they come. */
const connectionsMax = 32;

/** What is done for a request, by what it asks; a thrown {@link Failure} is its answer. */
export type ControlHandlers = Readonly<Record<string, (request: Table) => Promise<object>>>;

/** The side of `tandem up`. */
export class ControlServer {
  readonly #state: StateDirectory;
  readonly #handlers: ControlHandlers;
  readonly #requestMsMax: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  /** `msMax`: how long who asks may take to write the request, and to read the answer. */
  constructor(state: StateDirectory, handlers: ControlHandlers, msMax = requestMsMax) {
    this.#state = state;
    this.#handlers = handlers;
    this.#requestMsMax = msMax;
  }

  /** Call it while the directory is locked: what a run that was killed has left is removed. */
  async listen(): Promise<void> {
    const server = createServer((socket) => this.#serve(socket));
    server.maxConnections = connectionsMax;
    rmSync(this.#state.file(socketName), { force: true });
    await atPath(
      this.#state,
      (path) =>
        new Promise<void>((listening, failed) => {
          // It stays: a connection that cannot be taken later is no reason to end.
          server.on("error", failed);
          // Nobody else may open it, not even for the moment until its mode is set.
          const mask = process.umask(0o177);
          server.listen(path, listening);
          process.umask(mask);
        }),
    );
    chmodSync(this.#state.file(socketName), 0o600);
    this.#server = server;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server?.close();
    rmSync(this.#state.file(socketName), { force: true });
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    // A command may be stopped at any moment. Only its connection ends, and what it has asked for is done.
    socket.on("error", () => undefined);
    let timer = setTimeout(() => socket.destroy(), this.#requestMsMax);
    socket.once("close", () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
    });
    let [text, isAsked] = ["", false];
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      if (isAsked) return;
      text += chunk;
      const end = text.indexOf("\n");
      if (end < 0 && text.length > requestOctetsMax) socket.destroy();
      if (end < 0) return;
      isAsked = true;
      clearTimeout(timer);
      void this.#answerTo(socket, text.slice(0, end), () => {
        timer = setTimeout(() => socket.destroy(), this.#requestMsMax);
      });
    });
  }

  /** `isToBeRead` is called when there is an answer. */
  async #answerTo(socket: Socket, line: string, isToBeRead: () => void): Promise<void> {
    const answer = await this.#answer(line);
    if (socket.destroyed) return;
    isToBeRead();
    socket.end(`${JSON.stringify(answer)}\n`);
  }

  async #answer(line: string): Promise<object> {
    const request = parseJson(line);
    if (!isTable(request) || !isText(request["ask"])) return { error: "this is no request" };
    const { ask, version } = request;
    if (version !== controlVersion)
      return { error: `requests have form ${controlVersion} here: use the tandem that has started the system` };
    const handler = Object.hasOwn(this.#handlers, ask) ? this.#handlers[ask] : undefined;
    if (handler === undefined) return { error: `the running tandem does not know what ${JSON.stringify(ask)} is` };
    try {
      return { answer: await handler(request) };
    } catch (error) {
      return { error: reasonOf(error) };
    }
  }
}

const noAnswer = "the running tandem has not answered: it has ended, or too many commands ask it at once";

/** The side of a command. Throws a {@link Failure}: nobody listens, or it was refused. */
export async function askTandem(state: StateDirectory, ask: string, more: object): Promise<unknown> {
  const answer = await atPath(state, (path) => exchangeLines(path, JSON.stringify({ version: controlVersion, ask, ...more }), state));
  const read = parseJson(answer);
  if (isTable(read) && isText(read["error"])) throw new Failure(read["error"]);
  if (!isTable(read) || read["answer"] === undefined) throw new Failure(noAnswer);
  return read["answer"];
}

function exchangeLines(path: string, request: string, state: StateDirectory): Promise<string> {
  return new Promise((answered, failed) => {
    let text = "";
    const socket = createConnection(path, () => socket.write(`${request}\n`));
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => void (text += chunk));
    socket.once("error", (error) => {
      const code = codeOf(error) ?? "";
      const isNobody = ["ENOENT", "ECONNREFUSED"].includes(code);
      const reason = ["EPIPE", "ECONNRESET"].includes(code) ? noAnswer : reasonOf(error);
      failed(new Failure(isNobody ? `no tandem up of this release runs with ${state.path}` : reason));
    });
    socket.once("close", () => answered(text));
  });
}

/** Where the socket is. A path that is too long for one goes by an open directory, where the system has that (Linux). */
async function atPath<Result>(state: StateDirectory, use: (path: string) => Promise<Result>): Promise<Result> {
  const path = state.file(socketName);
  if (Buffer.byteLength(path) <= pathOctetsMax) return await use(path);
  const directory = openSync(state.path, "r");
  try {
    return await use(`/proc/self/fd/${directory}/${socketName}`);
  } finally {
    closeSync(directory);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
