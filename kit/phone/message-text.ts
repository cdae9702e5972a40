/** The lines of a SIP message that a phone copies or looks at, as whole lines without their ends. */
export type MessageLines = {
  readonly startLine: string;
  readonly vias: readonly string[];
  readonly recordRoutes: readonly string[];
  readonly from: string;
  readonly to: string;
  readonly callId: string;
  readonly cSeq: string;
  readonly contact: string;
};

/**
 * Takes a message apart as far as phones need it that are cheap or write by hand. Header names stand in full and nothing is folded: these phones
 * write so, and proxies leave it so. This is not Tandem's parser, because what is measured or tested must not do it itself.
 */
export function linesOf(text: string): MessageLines {
  const vias: string[] = [];
  const recordRoutes: string[] = [];
  let [from, to, callId, cSeq, contact] = ["", "", "", "", ""];
  let end = text.indexOf("\r\n");
  const startLine = text.slice(0, end);
  for (let start = end + 2; ; start = end + 2) {
    end = text.indexOf("\r\n", start);
    if (end <= start) break;
    const line = text.slice(start, end);
    switch (line.slice(0, line.indexOf(":")).toLowerCase()) {
      case "via":
        vias.push(line);
        break;
      case "record-route":
        recordRoutes.push(line);
        break;
      case "from":
        from = line;
        break;
      case "to":
        to = line;
        break;
      case "call-id":
        callId = line.slice(line.indexOf(":") + 1).trim();
        break;
      case "cseq":
        cSeq = line;
        break;
      case "contact":
        contact = line;
        break;
    }
  }
  return { startLine, vias, recordRoutes, from, to, callId, cSeq, contact };
}

/** The first value line of a header; empty when there is none. */
export function valueOf(text: string, name: string): string {
  return valuesOf(text, name)[0] ?? "";
}

/** All value lines of a header, in order. A list of several values in one line is not taken apart. */
export function valuesOf(text: string, name: string): string[] {
  return [...text.matchAll(new RegExp(`^${name}: *(.*?)\\r?$`, "gim"))].map((match) => (match[1] ?? "").trim());
}

/** Of a response. */
export function statusOf(response: string): number {
  return Number(response.slice(8, 11));
}

/** The URI between angle brackets. */
export function uriIn(line: string): string {
  return line.slice(line.indexOf("<") + 1, line.indexOf(">"));
}

/** A response that copies what RFC 3261 8.2.6.2 says; `tag` joins a To that has none. */
export function responseText(status: string, request: MessageLines, tag: string, headers: readonly string[] = [], body = ""): string {
  const to = request.to.includes(";tag=") ? request.to : `${request.to};tag=${tag}`;
  const copied = [...request.vias, ...request.recordRoutes, request.from, to, `Call-ID: ${request.callId}`, request.cSeq];
  return messageText(`SIP/2.0 ${status}`, [...copied, ...headers], body);
}

/** The Route lines of the caller's side (RFC 3261 12.1.2): the Record-Route values of a response, last first. */
export function routesOf(response: MessageLines): string[] {
  const values = response.recordRoutes.flatMap((line) => line.slice(line.indexOf(":") + 1).split(/,(?=\s*<)/));
  return values.toReversed().map((value) => `Route: ${value.trim()}`);
}

/** A message as text; a body whose type no header says is a session description. */
export function messageText(startLine: string, headers: readonly string[], body = ""): string {
  const hasType = body === "" || headers.some((header) => header.startsWith("Content-Type:"));
  const type = hasType ? "" : "Content-Type: application/sdp\r\n";
  return `${startLine}\r\n${headers.join("\r\n")}\r\n${type}Content-Length: ${body.length}\r\n\r\n${body}`;
}
