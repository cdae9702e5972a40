/** A request of a test phone as text. */
export function requestText(
  method: string,
  uri: string,
  options: { via?: string; callId?: string; headers?: string; body?: string; to?: string } = {},
): string {
  const { via = "SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bKtest1", callId = "call-1", headers = "", body = "", to = uri } = options;
  return (
    `${method} ${uri} SIP/2.0\r\nVia: ${via}\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.test>;tag=1\r\nTo: <${to}>\r\n` +
    `Call-ID: ${callId}\r\nCSeq: 1 ${method}\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}
