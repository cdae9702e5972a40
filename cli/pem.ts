/** RFC 7468: DER in base64, in lines of 64 characters. */
export function pemOf(label: "CERTIFICATE", der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString("base64")
    .replaceAll(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
