/** Octets as base64 (RFC 4648 4). */
export function base64Of(octets: Uint8Array): string {
  return btoa(String.fromCharCode(...octets));
}

/** The octets of a text in base64; undefined: it is none. */
export function octetsOfBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** RFC 7468: base64 in lines, between two that say what it is. */
export function pemOf(label: "CERTIFICATE" | "PRIVATE KEY", base64: string): string {
  return `-----BEGIN ${label}-----\n${base64.replaceAll(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;
}
