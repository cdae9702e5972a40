import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { cellConfigText, quote, workerSettingsOf } from "../../cli/workerd-config.ts";

const toml = `
main = "workers/index.ts"
compatibility_date = "2026-11-01"
compatibility_flags = ["one"]
[env.a]
vars = { CELL = "a", LIMIT = 3 }
durable_objects.bindings = [{ name = "EXCHANGE", class_name = "ExchangeObject" }]
migrations = [
  { tag = "v1", new_sqlite_classes = ["Exchange", "Old"] },
  { tag = "v2", renamed_classes = [{ from = "Exchange", to = "ExchangeObject" }], deleted_classes = ["Old"] },
]
`;

describe("workerSettingsOf", () => {
  it("takes what the environment of a cell says; data keeps the name of the class that it was made with", () => {
    const settings = {
      main: "workers/index.ts",
      keepNames: true,
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["one"],
      variables: { CELL: "a", LIMIT: "3" },
      objects: [{ binding: "EXCHANGE", className: "ExchangeObject", storageKey: "Exchange" }],
    };
    expect(workerSettingsOf(toml, "a")).toEqual(settings);
    expect(workerSettingsOf(`vars = { ROOT = 1 }\n${toml}`, "a")).toEqual(settings);
    // A third cell on this machine has no environment of its own.
    expect(workerSettingsOf(toml, "c")).toEqual(settings);
  });

  it.each([
    ["main = 1", "wrangler.toml: main must be a text"],
    ["main =", "wrangler.toml: Invalid TOML document"],
    ["name = 1", "wrangler.toml: main is missing"],
    ['main = "m"', "wrangler.toml: compatibility_date is missing"],
    ['env.a.compatibility_flags = "one"', "wrangler.toml: env.a.compatibility_flags must be a list"],
    ["env.a.durable_objects.bindings = [{ name = 1 }]", "wrangler.toml: env.a.durable_objects.bindings[0].name must be a text"],
    [
      'main = "m"\ncompatibility_date = "2026-01-01"\nenv.a.durable_objects.bindings = [{ name = "X", class_name = "Y" }]',
      "wrangler.toml: no migration makes Y a class with SQLite",
    ],
  ])("says what is wrong with %j", (text, line) => {
    expect(() => workerSettingsOf(text, "a")).toThrow(line);
  });

  it.each(["a", "b"])("reads the project's own file for cell %s", (cell) => {
    const own = readFileSync(resolve(import.meta.dirname, "../../wrangler.toml"), "utf8");
    const names = workerSettingsOf(own, cell).objects.map(({ binding }) => binding);
    expect(names).toEqual(expect.arrayContaining(["EXCHANGE", "LINE", "CORE_GROUP"]));
  });
});

describe("cellConfigText", () => {
  const config = {
    cell: "b",
    host: "::1",
    port: 8802,
    settings: workerSettingsOf(toml, "b"),
    modules: [
      { name: "index.js", path: "bundle/index.js" },
      { name: "x.wasm", path: "bundle/x.wasm" },
    ],
    storage: '/state "x"/cells/b',
    room: "/room",
    mayEvict: false,
    texts: { CELL: "b", CLUSTER: '{"é":"\n"}' },
    fromEnvironment: ["TANDEM_SECRET"],
  };
  const text = cellConfigText(config);

  it.each([
    ['sockets = [(name = "http", address = "[::1]:8802", http = (), service = "cell")]'],
    ['allow = ["public", "::1/128"]'],
    ['disk = (path = "/state \\"x\\"/cells/b", writable = true)'],
    ['(name = "index.js", esModule = embed "bundle/index.js")'],
    ['(name = "x.wasm", wasm = embed "bundle/x.wasm")'],
    ['(name = "CELL", text = "b")'],
    ['(name = "LIMIT", text = "3")'],
    ['(name = "CLUSTER", text = "{\\"é\\":\\"\\x0a\\"}")'],
    ['(name = "TANDEM_SECRET", fromEnvironment = "TANDEM_SECRET")'],
    ['(name = "EXCHANGE", durableObjectNamespace = "ExchangeObject")'],
    ['(className = "ExchangeObject", uniqueKey = "tandem-b-Exchange", enableSql = true, preventEviction = true)'],
    ['durableObjectStorage = (localDisk = "storage")'],
  ])("says %s", (line) => {
    expect(text).toContain(line);
  });

  it("has idle objects sleep only where that is wanted", () => {
    expect(cellConfigText({ ...config, mayEvict: true })).not.toContain("preventEviction = true");
  });

  it("never holds a value that comes from the environment", () => {
    expect(cellConfigText({ ...config, texts: { TANDEM_SECRET: "hidden" } })).not.toContain("hidden");
  });

  it("has a socket for members alone, where there is an authority: both sides show certificates of that", () => {
    const members = {
      host: "192.0.2.1",
      port: 8841,
      tlsKey: "members/a/k.pem",
      certificate: "members/a/c.pem",
      authority: "authority/c.pem",
    };
    const written = cellConfigText({ ...config, members });
    const pair = '(privateKey = embed "members/a/k.pem", certificateChain = embed "members/a/c.pem")';
    expect(written).toContain(
      `(name = "members", address = "192.0.2.1:8841", https = (options = (), tlsOptions = (keypair = ${pair}, requireClientCerts = true, ` +
        'trustedCertificates = [embed "authority/c.pem"], minVersion = tls1Dot3)), service = (name = "cell", entrypoint = "members"))',
    );
    expect(written).toContain(`trustedCertificates = [embed "authority/c.pem"], keypair = ${pair}`);
    expect(cellConfigText({ ...config, members: { ...members, host: "2001:db8::1" } })).toContain('address = "[2001:db8::1]:8841"');
    expect(cellConfigText(config)).not.toContain("members");
  });
});

describe("quote", () => {
  it("makes a Cap'n Proto text of anything", () => {
    expect(quote('a"\\\n\t\u007fé☎')).toBe('"a\\"\\\\\\x0a\\x09\\x7fé☎"');
  });
});
