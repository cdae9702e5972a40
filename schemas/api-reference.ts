import { type GenericSchema, getDescription, getTitle } from "valibot";
import { apiRoutes, type ApiRoute } from "./api-routes.ts";
import { signingText } from "./api-signature.ts";
import { otherVersionStatus } from "../cluster/protocol-version.ts";

/** What a schema of valibot has, as far as a reference names it. */
type Part = {
  readonly type: string;
  readonly pipe?: readonly Part[];
  readonly entries?: Readonly<Record<string, GenericSchema>>;
  readonly item?: GenericSchema;
  readonly wrapped?: GenericSchema;
  readonly options?: readonly string[];
  readonly requirement?: unknown;
};

/** One line of a table of fields. */
type Field = { readonly path: string; readonly type: string; readonly meaning: string };

const head = `# The API of a cell

Made by \`npm run reference\` from \`schemas/\`: change it there.

Any cell answers for the whole cluster. Requests and answers are JSON, in UTF-8. A body with a field that does not stand here is refused with 400; the text
names it. Every request is signed, as the next section says. The commands do that for you. Nearly all of them print an answer as it is with \`--json\`.

Every refusal is \`{"error": TEXT}\`, one line for people. Besides what stands below, every route may refuse:

| status | when                                                                                     |
| ------ | ---------------------------------------------------------------------------------------- |
| 401    | the signature is missing, wrong, older than 30 s or used before; or of another version   |
| 413    | the body is too long                                                                     |
| 500    | something broke; the cell's log has it                                                   |
| 503    | too many bodies are being read at once                                                   |
| ${otherVersionStatus}    | the cell speaks another version of the protocol                                          |
`;

/** docs/api.md. */
export function apiReference(): string {
  return [head, signingText, ...apiRoutes.map(routeText)].join("\n");
}

function routeText(route: ApiRoute): string {
  const { method, path, summary, command, parameters = {}, body, answer, refusals = {} } = route;
  const named = Object.entries(parameters);
  const refused = Object.entries(refusals);
  return [
    `## ${method} ${path}\n`,
    `${summary} Command: \`${command.replaceAll(", ", "`, `")}\`.\n`,
    ...(named.length === 0 ? [] : [table(["parameter", "meaning"], named)]),
    ...(body === undefined ? [] : [`Body: ${kindOf(body)}.\n`, fieldTable(body)]),
    `Answer: ${kindOf(answer)}.\n`,
    fieldTable(answer),
    ...(refused.length === 0 ? [] : [table(["refused with", "when"], refused)]),
  ].join("\n");
}

function kindOf(schema: GenericSchema): string {
  return typeOf(schema)
    .replace(/^object/, "an object")
    .replace(/^list/, "a list");
}

function fieldTable(schema: GenericSchema): string {
  const rows = fieldsOf(schema, "").map(({ path, type, meaning }) => [path === "" ? "each" : `\`${path}\``, type, meaning]);
  return table(["field", "type", "meaning"], rows);
}

/** The fields of a schema, those of inner ones behind theirs. */
function fieldsOf(schema: GenericSchema, path: string): Field[] {
  const { entries, item } = baseOf(schema);
  if (item !== undefined) {
    const inner = fieldsOf(item, path === "" ? "" : `${path}[]`);
    return inner.length > 0 ? inner : [{ path: path === "" ? "" : `${path}[]`, type: typeOf(item), meaning: meaningOf(item) }];
  }
  return Object.entries(entries ?? {}).flatMap(([name, entry]) => {
    const own = path === "" ? name : `${path}.${name}`;
    return [{ path: own, type: typeOf(entry), meaning: meaningOf(entry) }, ...fieldsOf(entry, own)];
  });
}

function typeOf(schema: GenericSchema): string {
  const { wrapped } = schema as Part;
  if (wrapped !== undefined) return `${typeOf(wrapped)}, may be absent`;
  const ownName = getTitle(schema);
  if (ownName !== undefined) return ownName;
  const { type, options, item } = baseOf(schema);
  if (type === "picklist") return (options ?? []).map((option) => `\`"${option}"\``).join(", ");
  if (type === "array") return item === undefined ? "list" : `list of ${plural(typeOf(item))}`;
  if (type === "string") return "text";
  if (type === "strict_object") return "object";
  const min = boundOf(schema, "min_value");
  const max = boundOf(schema, "max_value");
  if (min === undefined || max === undefined) return type;
  return max === Number.MAX_SAFE_INTEGER ? `whole number from ${min} on` : `whole number from ${min} to ${max}`;
}

function boundOf(schema: GenericSchema, step: "min_value" | "max_value"): number | undefined {
  const requirement = partsOf(schema).find(({ type }) => type === step)?.requirement;
  return typeof requirement === "number" ? requirement : undefined;
}

function plural(type: string): string {
  return /^(?:object|text|number)$/.test(type) ? `${type}s` : type;
}

function meaningOf(schema: GenericSchema): string {
  const { wrapped } = schema as Part;
  return getDescription(schema) ?? (wrapped === undefined ? "" : meaningOf(wrapped));
}

/** The steps of a schema, those of inner pipes too. */
function partsOf(schema: GenericSchema): Part[] {
  const { pipe } = schema as Part;
  return (pipe ?? []).flatMap((part, index) =>
    index === 0 && part.pipe !== undefined ? partsOf(part as unknown as GenericSchema) : [part],
  );
}

/** The last step of a schema that says what it holds: a list is checked for its length before its elements are looked at. */
function baseOf(schema: GenericSchema): Part {
  const part = schema as Part;
  if (part.wrapped !== undefined) return baseOf(part.wrapped);
  const holder = part.pipe?.findLast((step) => step.item !== undefined && step !== part.pipe?.[0]);
  const next = holder ?? part.pipe?.[0];
  return next === undefined || next === schema ? part : next.pipe === undefined ? next : baseOf(next as unknown as GenericSchema);
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, headings.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return `${lines.join("\n")}\n`;
}
