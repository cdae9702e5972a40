import { createRequire } from "node:module";
import { isParseError } from "../../sip/errors.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";

/** What a proxy reads to route a message. Absent ones are empty or 0. */
export type Fields = {
  /** Method, or the status of a response. */
  what: string;
  /** Request-URI as text. */
  uri: string;
  viaHost: string;
  viaBranch: string;
  viaReceived: string;
  fromTag: string;
  toTag: string;
  callId: string;
  cSeq: number;
  cSeqMethod: string;
  maxForwards: number;
  /** URI of the first Route and of the first Contact. */
  route: string;
  contact: string;
};

export type SipParser = {
  readonly name: string;
  readonly read: (octets: Buffer) => Fields;
};

const require = createRequire(import.meta.url);

/* oxlint-disable typescript/no-unsafe-type-assertion -- what these packages return has no types worth the name */

type JsSip = {
  readonly method?: string;
  readonly ruri?: { toString(): string };
  readonly status_code?: number;
  readonly via: { readonly host: string; readonly branch: string; readonly received?: string };
  readonly from_tag: string;
  readonly to_tag: string | undefined;
  readonly call_id: string;
  readonly cseq: number;
  parseHeader(name: string): unknown;
  getHeader(name: string): string | undefined;
};

type Address = { readonly uri: { toString(): string } };

/**
 * JsSIP and its kin read URIs into objects: as text is what a proxy compares. Their grammar of Route takes no parameters, so it is read as any
 * address is.
 */
function fieldsOfJsSip(message: JsSip, parseAddress: (text: string) => Address | undefined): Fields {
  const { via } = message;
  const route = message.getHeader("route");
  const contact = message.parseHeader("contact") as Address | undefined;
  const cSeq = message.parseHeader("cseq") as { readonly value: number; readonly method: string };
  return {
    what: message.status_code === undefined || message.status_code === null ? (message.method ?? "") : String(message.status_code),
    uri: message.ruri?.toString() ?? "",
    viaHost: via.host,
    viaBranch: via.branch,
    viaReceived: via.received ?? "",
    fromTag: message.from_tag,
    toTag: message.to_tag ?? "",
    callId: message.call_id,
    cSeq: cSeq.value,
    cSeqMethod: cSeq.method,
    maxForwards: Number(message.parseHeader("max-forwards") ?? 0),
    route: route === undefined ? "" : (parseAddress(route)?.uri.toString() ?? ""),
    contact: contact?.uri.toString() ?? "",
  };
}

type SipJs = Omit<JsSip, "status_code" | "from_tag" | "to_tag" | "call_id"> & {
  readonly statusCode?: number;
  readonly fromTag: string;
  readonly toTag: string | undefined;
  readonly callId: string;
};

type PlainAddress = { readonly uri: unknown; readonly params: Readonly<Record<string, string | undefined>> };

type Plain = {
  readonly method?: string;
  readonly uri?: string;
  readonly status?: number;
  readonly headers: {
    readonly via: readonly { readonly host: string; readonly params: Readonly<Record<string, string | undefined>> }[];
    readonly from: PlainAddress;
    readonly to: PlainAddress;
    readonly "call-id": string;
    readonly cseq: { readonly seq: number; readonly method: string };
    readonly "max-forwards"?: string;
    readonly route?: readonly PlainAddress[];
    readonly contact?: readonly PlainAddress[];
  };
};

function fieldsOfPlain(message: Plain, uriText: (uri: unknown) => string): Fields {
  const { headers } = message;
  const via = headers.via[0];
  const route = headers.route?.[0]?.uri;
  const contact = headers.contact?.[0]?.uri;
  return {
    what: message.method ?? String(message.status),
    uri: message.uri ?? "",
    viaHost: via?.host ?? "",
    viaBranch: via?.params["branch"] ?? "",
    viaReceived: via?.params["received"] ?? "",
    fromTag: headers.from.params["tag"] ?? "",
    toTag: headers.to.params["tag"] ?? "",
    callId: headers["call-id"],
    cSeq: headers.cseq.seq,
    cSeqMethod: headers.cseq.method,
    maxForwards: Number(headers["max-forwards"] ?? 0),
    route: route === undefined ? "" : uriText(route),
    contact: contact === undefined ? "" : uriText(contact),
  };
}

type DrachtioMessage = Omit<Plain, "headers"> & {
  has(name: string): boolean;
  get(name: string): string;
  getParsedHeader(name: string): unknown;
};

const tandem: SipParser = {
  name: "Tandem",
  read: (octets) => {
    const message = parseMessage(octets);
    if (isParseError(message)) throw new Error(message.reason);
    const via = message.topVia;
    const cSeq = message.cSeq;
    const { routes, contacts, maxForwards } = message;
    if (isParseError(via) || isParseError(cSeq) || isParseError(routes) || isParseError(contacts)) throw new Error("unreadable");
    return {
      what: message.isRequest ? message.method : String(message.status),
      uri: message.isRequest ? message.requestUri : "",
      viaHost: via.host,
      viaBranch: via.branch ?? "",
      viaReceived: via.received ?? "",
      fromTag: message.fromTag ?? "",
      toTag: message.toTag ?? "",
      callId: message.callId,
      cSeq: cSeq.number,
      cSeqMethod: cSeq.method,
      maxForwards: typeof maxForwards === "number" ? maxForwards : 0,
      route: routes[0]?.uri ?? "",
      contact: contacts === "*" ? "*" : (contacts[0]?.uri ?? ""),
    };
  },
};

/** As `sip` does with a datagram; the cheapest of the ways. */
function textOf(octets: Buffer): string {
  return octets.toString("latin1");
}

/** Every parser on npm that could be found and installed. They take text, a proxy gets octets: making text of them is theirs to pay. */
export async function allParsers(): Promise<readonly [SipParser, ...SipParser[]]> {
  const jssip = require("jssip/lib/Parser") as { parseMessage(text: string, ua: unknown): unknown };
  const jssipAddress = require("jssip/lib/NameAddrHeader") as { parse(text: string): Address | undefined };
  const parsip = require("parsip") as { getSIP(text: string): unknown };
  const parsipAddress = require("parsip/lib/NameAddrHeader") as { parse(text: string): Address | undefined };
  const sip = require("sip") as { parse(text: string): unknown; stringifyUri(uri: unknown): string };
  const drachtio = require("drachtio-sip") as { readonly SipMessage: new (text: string) => DrachtioMessage };
  // The package exports no way to its parser.
  const sipJs = (await import(new URL("./core/messages/parser.js", import.meta.resolve("sip.js")).href)) as {
    readonly Parser: { parseMessage(text: string, logger: unknown): unknown };
  };
  const { Grammar } = (await import(new URL("./grammar/grammar.js", import.meta.resolve("sip.js")).href)) as {
    readonly Grammar: { nameAddrHeaderParse(text: string): Address | undefined };
  };
  const silent = { warn: () => undefined, error: () => undefined, log: () => undefined, debug: () => undefined };
  return [
    tandem,
    {
      name: "JsSIP",
      read: (octets) => fieldsOfJsSip(jssip.parseMessage(textOf(octets), {}) as JsSip, (route) => jssipAddress.parse(route)),
    },
    {
      name: "SIP.js",
      read: (octets) => {
        const message = sipJs.Parser.parseMessage(textOf(octets), silent) as SipJs;
        const { statusCode, fromTag, toTag, callId } = message;
        return fieldsOfJsSip(
          Object.assign(message, { status_code: statusCode, from_tag: fromTag, to_tag: toTag, call_id: callId }) as unknown as JsSip,
          (route) => Grammar.nameAddrHeaderParse(route),
        );
      },
    },
    {
      name: "parSIP",
      read: (octets) => fieldsOfJsSip(parsip.getSIP(textOf(octets)) as JsSip, (route) => parsipAddress.parse(route)),
    },
    { name: "sip", read: (octets) => fieldsOfPlain(sip.parse(textOf(octets)) as Plain, (uri) => sip.stringifyUri(uri)) },
    {
      name: "drachtio-sip",
      read: (octets) => {
        const message = new drachtio.SipMessage(textOf(octets));
        const header = (name: string): unknown => (message.has(name) ? message.getParsedHeader(name) : undefined);
        const names = ["via", "from", "to", "cseq", "route", "contact"] as const;
        const headers = Object.fromEntries(names.map((name) => [name, header(name)]));
        const rest = { "call-id": message.get("call-id"), "max-forwards": message.has("max-forwards") ? message.get("max-forwards") : "0" };
        const plain = {
          method: message.method,
          uri: message.uri,
          status: message.status,
          headers: { ...headers, ...rest },
        } as unknown as Plain;
        return fieldsOfPlain(plain, (uri) => (typeof uri === "string" ? uri : sip.stringifyUri(uri)));
      },
    },
  ];
}
