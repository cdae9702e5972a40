/** What the tests use of npm's `sip` (a SIP stack of another make, which brings no types). */
declare module "sip" {
  export type Params = Record<string, string | null | undefined>;
  export type Address = { name?: string | undefined; uri: string; params: Params };
  export type UriObject = { schema: string; user?: string; host: string; port?: number; params: Params };
  export type Via = { version?: string; protocol: string; host: string; port?: number | undefined; params: Params };
  export type Challenge = { scheme: string; [parameter: string]: string | undefined };
  /** Headers by lower-case name; those without a parser are text. */
  export type Headers = {
    via?: Via[];
    from: Address;
    to: Address;
    contact?: Address[] | string;
    route?: { uri: string | UriObject; params: Params }[];
    "record-route"?: { uri: UriObject; params: Params }[];
    "call-id": string;
    cseq: { seq: number; method: string };
    "www-authenticate"?: Challenge[];
    "proxy-authenticate"?: Challenge[];
    [name: string]: unknown;
  };
  export type Request = { method: string; uri: string; version?: string; headers: Headers; content?: string; status?: undefined };
  export type Response = { status: number; reason: string; version?: string; headers: Headers; content?: string; method?: undefined };
  export type Message = Request | Response;
  export type Connection = { send(message: Message): void; release(): void; readonly protocol: string };
  export type ServerTransaction = { send(response: Message): void; message(message: Message): void };
  export type ClientTransaction = { message(message: Message, remote?: unknown): void };
  export type Stack = { send(message: Message, callback?: (response: Response) => void): void; destroy(): void };
  export type Options = {
    readonly address?: string;
    readonly publicAddress?: string;
    readonly port?: number;
    readonly tls_port?: number;
    readonly udp?: boolean;
    readonly tcp?: boolean;
    /** Hears of every message, repeated ones too. */
    readonly logger?: { recv(message: Message): void };
    readonly tls?: { readonly ca: string; readonly servername: string };
  };

  const sip: {
    create(options: Options, received: (request: Request) => void): Stack;
    makeTransactionLayer(
      options: object,
      open: () => Connection,
    ): {
      createServerTransaction(request: Request, connection: Connection): ServerTransaction;
      createClientTransaction(connection: Connection, request: Request, callback: (response: Response) => void): ClientTransaction;
      getServer(message: Message): ServerTransaction | undefined;
      getClient(message: Message): ClientTransaction | undefined;
      destroy(): void;
    };
    makeResponse(request: Request, status: number, reason?: string): Response;
    parse(octets: Uint8Array): Message | undefined;
    stringify(message: Message): string;
    stringifyUri(uri: string | UriObject): string;
    generateBranch(): string;
  };
  export default sip;
}

declare module "sip/digest.js" {
  import type { Request, Response } from "sip";

  const digest: {
    /** Adds (Proxy-)Authorization for the first challenge of the response. */
    signRequest(context: object, request: Request, response: Response, credentials: { user: string; password: string }): object | null;
  };
  export default digest;
}
