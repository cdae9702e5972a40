import { Failure } from "./errors.ts";

/** The text of a CSV file, which must be UTF-8. Throws a {@link Failure} that names the line of the first octet that is not. */
export function decodeCsv(octets: Uint8Array): string {
  if (octets.includes(0)) throw new Failure("is no text in UTF-8 (save it as CSV UTF-8)");
  for (let line = 1, start = 0; start < octets.length; line += 1) {
    const newline = octets.indexOf(0x0a, start);
    const end = newline < 0 ? octets.length : newline + 1;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(octets.subarray(start, end));
    } catch {
      const looks = new TextDecoder("windows-1252").decode(octets.subarray(start, end)).trim();
      throw new Failure(`line ${line}: is not UTF-8 (Latin-1? it would be ${JSON.stringify(looks)}): save the file as UTF-8`);
    }
    start = end;
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(octets);
}

export type Row = { readonly line: number; readonly fields: string[] };

/**
 * The rows of a text of RFC 4180, empty ones left out. Where no comma stands in the first line, semicolons or tabs part the fields, as some tables write them.
 * Throws a {@link Failure} that names the line.
 */
export function parseCsv(text: string): Row[] {
  const rows: Row[] = [];
  const body = text.startsWith("\uFEFF") ? text.slice(1) : text;
  const [first = ""] = /^.*/.exec(body) ?? [];
  const comma = [",", ";", "\t"].find((each) => first.includes(each)) ?? ",";
  const ends = `${comma}\r\n`;
  let line = 1;
  let at = 0;
  while (at < body.length) {
    const row: Row = { line, fields: [] };
    for (;;) {
      let field = "";
      if (body[at] === '"') {
        const start = line;
        for (at += 1; ; at += 1) {
          const character = body[at];
          if (character === undefined) throw new Failure(`line ${start}: a quoted field does not end`);
          if (character === '"' && body[at + 1] !== '"') break;
          if (character === '"') at += 1;
          if (character === "\n") line += 1;
          field += character;
        }
        at += 1;
        if (at < body.length && !ends.includes(body.charAt(at))) throw new Failure(`line ${line}: text after a quoted field`);
      } else {
        const start = at;
        while (at < body.length && !ends.includes(body.charAt(at))) at += 1;
        field = body.slice(start, at);
      }
      row.fields.push(field);
      if (body[at] !== comma) break;
      at += 1;
    }
    if (body[at] === "\r") at += 1;
    if (body[at] === "\n") at += 1;
    line += 1;
    if (row.fields.length > 1 || row.fields[0]?.trim() !== "") rows.push(row);
  }
  return rows;
}
