/*
 * The null proxy's object: what any proxy of this architecture must do, and nothing else. A frame comes in over a hibernatable WebSocket, each
 * message is given its Via and Record-Route or loses them, and a frame goes out. No transactions, no dialogs, no authentication, no records; a
 * registration is a line in a map. It is what Tandem's real work is measured against.
 *
 * Runs inside workerd, stripped of its types (bench/null-proxy/start.ts), so it imports nothing. A frame is a row of records: length of the address
 * (1 octet), length of the message (4), "ip:port", message.
 */

type Socket = { send(data: Uint8Array): void };
type State = { acceptWebSocket(socket: Socket): void };
type Namespace = { getByName(name: string): { fetch(request: Request): Promise<Response> } };
declare const WebSocketPair: new () => { readonly 0: Socket; readonly 1: Socket };

const own = "127.0.0.1:5060";
const recordRoute = `Record-Route: <sip:${own};lr>\r\n`;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Proxy {
  readonly #state: State;
  readonly #contacts = new Map<string, string>();
  #branches = 0;

  constructor(state: State) {
    this.#state = state;
    // Registrations are in memory alone: it never sleeps.
    setInterval(() => undefined, 5_000);
  }

  fetch(): Response {
    const pair = new WebSocketPair();
    this.#state.acceptWebSocket(pair[1]);
    return new Response(null, { status: 101, webSocket: pair[0] } as ResponseInit);
  }

  webSocketMessage(socket: Socket, data: ArrayBuffer): void {
    const frame = new Uint8Array(data);
    const view = new DataView(data);
    const out: { readonly address: string; readonly octets: Uint8Array }[] = [];
    let length = 0;
    for (let at = 0; at < frame.length;) {
      const addressLength = frame[at] ?? 0;
      const start = at + 5 + addressLength;
      const end = start + view.getUint32(at + 1);
      const sent = this.#forward(decoder.decode(frame.subarray(start, end)), decoder.decode(frame.subarray(at + 5, start)));
      at = end;
      if (sent === undefined) continue;
      const octets = encoder.encode(sent.text);
      length += 5 + sent.address.length + octets.length;
      out.push({ address: sent.address, octets });
    }
    // An empty frame is an acknowledgement: the gateway gathers while one is owed.
    socket.send(joined(out, length));
  }

  webSocketClose(): void {}

  /** Where a message goes and as what; undefined: nowhere. */
  #forward(text: string, from: string): { readonly address: string; readonly text: string } | undefined {
    if (text.startsWith("SIP/2.0 ")) return popVia(text);
    if (text.startsWith("REGISTER ")) {
      this.#contacts.set(userIn(lineOf(text, "To")), uriIn(lineOf(text, "Contact")));
      return { address: from, text: okTo(text) };
    }
    const uri = text.slice(text.indexOf(" ") + 1, text.indexOf(" SIP/2.0"));
    const hasRoute = text.includes("\r\nRoute: ");
    const target = hasRoute ? uri : this.#contacts.get(userIn(uri));
    if (target === undefined) return undefined;
    this.#branches += 1;
    const via = `Via: SIP/2.0/UDP ${own};branch=z9hG4bK${this.#branches.toString(36)}\r\n`;
    const startLine = `${text.slice(0, text.indexOf(" "))} ${target} SIP/2.0\r\n`;
    const rest = text.slice(text.indexOf("\r\n") + 2);
    const received = rest.replace(/^(Via: [^\r]*)/m, `$1;received=${from}`);
    const own1 = hasRoute ? received.replace(/^Route: [^\r]*\r\n/m, "") : recordRoute + received;
    return { address: hostIn(target), text: startLine + via + own1 };
  }
}

/** SIPp writes the Vias that it copies into one line. */
function popVia(text: string): { readonly address: string; readonly text: string } | undefined {
  const start = text.indexOf("\r\nVia: ") + 7;
  const end = text.indexOf("\r\n", start);
  const comma = text.indexOf(", ", start);
  const rest = comma > 0 && comma < end ? text.slice(0, start) + text.slice(comma + 2) : text.slice(0, start - 5) + text.slice(end + 2);
  const address = /;received=([\d.:]+)/.exec(rest)?.[1];
  return address === undefined ? undefined : { address, text: rest.replace(`;received=${address}`, "") };
}

function okTo(request: string): string {
  const copied = ["Via", "From", "To", "Call-ID", "CSeq", "Contact"].map((name) => `${lineOf(request, name)}\r\n`);
  return `SIP/2.0 200 OK\r\n${copied.join("")}Content-Length: 0\r\n\r\n`;
}

function lineOf(text: string, name: string): string {
  const start = text.indexOf(`\r\n${name}: `) + 2;
  return text.slice(start, text.indexOf("\r\n", start));
}

function uriIn(line: string): string {
  return line.slice(line.indexOf("<") + 1, line.indexOf(">"));
}

function userIn(text: string): string {
  const start = text.indexOf("sip:") + 4;
  return text.slice(start, text.indexOf("@", start));
}

function hostIn(uri: string): string {
  const start = uri.indexOf("@") + 1;
  const end = uri.indexOf(";", start);
  return uri.slice(start, end < 0 ? undefined : end);
}

function joined(records: readonly { readonly address: string; readonly octets: Uint8Array }[], length: number): Uint8Array {
  const frame = new Uint8Array(length);
  const view = new DataView(frame.buffer);
  let at = 0;
  for (const { address, octets } of records) {
    frame[at] = address.length;
    view.setUint32(at + 1, octets.length);
    encoder.encodeInto(address, frame.subarray(at + 5));
    frame.set(octets, at + 5 + address.length);
    at += 5 + address.length + octets.length;
  }
  return frame;
}

export default {
  async fetch(request: Request, env: { readonly PROXY: Namespace }): Promise<Response> {
    if (request.headers.get("upgrade") !== "websocket") return new Response("null proxy\n");
    return await env.PROXY.getByName("only").fetch(request);
  },
};
