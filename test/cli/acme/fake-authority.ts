import { createHash, createPublicKey, verify, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import { generate } from "selfsigned";
import { isTable } from "../../../cli/json.ts";

type Answer = { readonly status?: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown };

/** What a client has said: to where, with which header, and what. */
export type Said = { readonly path: string; readonly header: Readonly<Record<string, unknown>>; readonly payload: unknown };

/** An authority of ACME that checks how it is asked, and issues nothing but a text. Each of its answers may be another one. */
export class FakeAuthority {
  readonly said: Said[] = [];
  /** By path: instead of what it answers usually; undefined: as usual. */
  instead: (path: string, times: number) => Answer | undefined = () => undefined;
  /** Asked once the client says that a challenge may be looked at: whether it is answered. */
  looks: (token: string) => Promise<string> = () => Promise.resolve("");
  ca = "";
  #server: Server | undefined;
  #nonces = 0;
  #unused = new Set<string>();
  #key: KeyObject | undefined;
  #state: "pending" | "valid" | "invalid" = "pending";
  #isFinal = false;

  async start(): Promise<void> {
    const made = await generate([{ name: "commonName", value: "localhost" }], {
      keyType: "ec",
      extensions: [
        { name: "basicConstraints", cA: true },
        { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] },
      ],
    });
    this.ca = made.cert;
    const server = createServer({ cert: made.cert, key: made.private }, (request, response) => {
      let text = "";
      request.setEncoding("utf8").on("data", (chunk: string) => void (text += chunk));
      const answer = async (): Promise<void> => {
        const { status = 200, headers = {}, body = "" } = await this.#answer(request.method ?? "", request.url ?? "", text);
        const nonce = `nonce-${(this.#nonces += 1)}`;
        this.#unused.add(nonce);
        response.writeHead(status, { "replay-nonce": nonce, ...headers });
        response.end(typeof body === "string" ? body : JSON.stringify(body));
      };
      request.on("end", () => void answer());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#server = server;
  }

  get url(): string {
    const address = this.#server?.address();
    return `https://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  }

  stop(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  async #answer(method: string, path: string, text: string): Promise<Answer> {
    const times = this.said.filter((each) => each.path === path).length;
    if (method === "POST") {
      const refused = this.#check(path, text);
      if (refused !== undefined) return refused;
    }
    return this.instead(path, times) ?? (await this.#usual(path));
  }

  /** RFC 8555 6.2 to 6.5: signed by the account, for this URL, with a nonce that nobody has used. */
  #check(path: string, text: string): Answer | undefined {
    const jws: unknown = JSON.parse(text);
    if (!isTable(jws)) return { status: 400 };
    const [head, body, signature] = [jws["protected"], jws["payload"], jws["signature"]].map(String);
    const header: unknown = JSON.parse(Buffer.from(head ?? "", "base64url").toString());
    if (!isTable(header)) return { status: 400 };
    this.said.push({ path, header, payload: body === "" ? undefined : JSON.parse(Buffer.from(body ?? "", "base64url").toString()) });
    if (isTable(header["jwk"])) this.#key ??= createPublicKey({ key: { ...header["jwk"] }, format: "jwk" });
    else if (header["kid"] !== `${this.url}/account/1`) return { status: 401, body: { detail: "who is that" } };
    const isSigned =
      this.#key !== undefined &&
      verify(
        "sha256",
        Buffer.from(`${head}.${body}`),
        { key: this.#key, dsaEncoding: "ieee-p1363" },
        Buffer.from(signature ?? "", "base64url"),
      );
    if (!isSigned || header["url"] !== `${this.url}${path}`) return { status: 401, body: { detail: "the signature is wrong" } };
    const isFresh = this.#unused.delete(String(header["nonce"]));
    return isFresh ? undefined : { status: 400, body: { type: "urn:ietf:params:acme:error:badNonce", detail: "stale" } };
  }

  async #usual(path: string): Promise<Answer> {
    const at = (name: string): string => `${this.url}/${name}`;
    switch (path) {
      case "/directory":
        return { body: { newNonce: at("nonce"), newAccount: at("new-account"), newOrder: at("new-order") } };
      case "/new-account":
        return { status: 201, headers: { location: at("account/1") }, body: { status: "valid" } };
      case "/new-order":
        return { status: 201, headers: { location: at("order/1") }, body: this.#order() };
      case "/authorization/1":
        return { body: this.#authorization() };
      case "/challenge/1": {
        const thumbprint = createHash("sha256").update(JSON.stringify(this.#publicKey())).digest("base64url");
        this.#state = (await this.looks("token-1")) === `token-1.${thumbprint}` ? "valid" : "invalid";
        return { body: {} };
      }
      case "/finalize/1":
        this.#isFinal = true;
        return { body: this.#order() };
      case "/order/1":
        return { body: this.#order() };
      case "/certificate/1":
        return { body: "a certificate" };
      default:
        return path === "/nonce" ? {} : { status: 404 };
    }
  }

  #publicKey(): object {
    const { crv, kty, x, y } = this.#key?.export({ format: "jwk" }) ?? {};
    return { crv, kty, x, y };
  }

  #order(): object {
    const made = { authorizations: [`${this.url}/authorization/1`], finalize: `${this.url}/finalize/1` };
    return this.#isFinal ? { ...made, status: "valid", certificate: `${this.url}/certificate/1` } : { ...made, status: "pending" };
  }

  #authorization(): object {
    const error = this.#state === "invalid" ? { error: { detail: "connection\r\nrefused" } } : {};
    return {
      status: this.#state,
      identifier: { type: "dns", value: "pbx.example.org" },
      challenges: [
        { type: "dns-01", token: "other", url: `${this.url}/challenge/2` },
        { type: "http-01", token: "token-1", url: `${this.url}/challenge/1`, ...error },
      ],
    };
  }
}
