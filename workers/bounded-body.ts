/** Octets that are in use by several at once, and may not be more than so many. */
export class TakenOctets {
  readonly #max: number;
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** False: there is no room for so many more. */
  take(octets: number): boolean {
    if (this.#taken + octets > this.#max) return false;
    this.#taken += octets;
    return true;
  }

  give(octets: number): void {
    this.#taken -= octets;
  }
}

/**
 * The body of a request, of at most `octetsMax`. It takes from `taken` what it announces, or what has come while it announces nothing, and gives it
 * back when it is whole. So bodies that are begun and not ended hold no more than that together.
 */
export async function readBounded(request: Request, octetsMax: number, taken: TakenOctets): Promise<Uint8Array | "too long" | "too many"> {
  if (request.body === null) return new Uint8Array(0);
  const announced = request.headers.get("content-length");
  let room = Number(announced ?? 0);
  if (!(room <= octetsMax)) return "too long";
  if (!taken.take(room)) return "too many";
  try {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of request.body as ReadableStream<Uint8Array>) {
      length += chunk.length;
      if (length > octetsMax) return "too long";
      if (length > room) {
        if (!taken.take(length - room)) return "too many";
        room = length;
      }
      chunks.push(chunk);
    }
    return joined(chunks, length);
  } finally {
    taken.give(room);
  }
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = chunks;
  if (chunks.length === 1 && only !== undefined) return only;
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}
