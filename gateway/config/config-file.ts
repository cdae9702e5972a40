import {
  array,
  boolean,
  custom,
  exactOptional,
  integer,
  type InferOutput,
  maxValue,
  minValue,
  nonEmpty,
  number,
  pipe,
  string,
} from "valibot";
import { strictRecord } from "../../schemas/reading.ts";

/** The gateway's TOML file: which keys there are, and what kind of value each has. What they mean together is for config.ts to say. */

const notText = "must be a text in quotes";
const notTable = "must be a table";
const text = pipe(string(notText), nonEmpty(notText));
const texts = custom<readonly string[]>(
  (value) => Array.isArray(value) && value.every((item) => typeof item === "string"),
  "must be a list of texts",
);

function tables(key: string): ReturnType<typeof custom<readonly object[]>> {
  return custom((value) => Array.isArray(value) && value.every(isTable), `must be tables: [[${key}]]`);
}

function isTable(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

// oxlint-disable-next-line typescript/explicit-module-boundary-types -- the type is what it makes
function wholeNumber(min: number, max: number) {
  const reason = ({ input }: { readonly input: unknown }): string =>
    `must be a whole number from ${min} to ${max}, is ${JSON.stringify(input)}`;
  return pipe(number(reason), integer(reason), minValue(min, reason), maxValue(max, reason));
}

const cell = strictRecord({ id: text, url: text });
const listener = strictRecord({ transport: text, host: text, port: wholeNumber(1, 65_535), advertise: exactOptional(text) });

export const configFileSchema = strictRecord({
  name: exactOptional(text),
  secret: exactOptional(text),
  secretFile: exactOptional(text),
  member: exactOptional(strictRecord({ key: text, cert: text, tlsKey: text, authority: text }, notTable)),
  cells: exactOptional(pipe(tables("cells"), array(cell))),
  listeners: exactOptional(pipe(tables("listeners"), array(listener))),
  tls: exactOptional(
    strictRecord(
      {
        cert: exactOptional(text),
        key: exactOptional(text),
        ca: exactOptional(text),
        verify: exactOptional(boolean("must be true or false")),
      },
      notTable,
    ),
  ),
  proxyFrom: exactOptional(texts),
  health: exactOptional(text),
  metricsFrom: exactOptional(texts),
  dns: exactOptional(strictRecord({ servers: exactOptional(texts) }, notTable)),
  limits: exactOptional(
    strictRecord(
      {
        connections: exactOptional(wholeNumber(1, 1_000_000)),
        messagesPerSource: exactOptional(wholeNumber(0, 1_000_000)),
        trusted: exactOptional(texts),
      },
      notTable,
    ),
  ),
});

/** The file's content, its kinds checked. */
export type ConfigFile = InferOutput<typeof configFileSchema>;
