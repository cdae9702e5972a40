import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { runCommand } from "./captured-io.ts";
import { parseArguments } from "../../cli/arguments.ts";
import { advertisingFault, clusterMapOf, clusterSettingsOf, hostNameOf, lettersOf, withHashKey, withChanged } from "../../cli/cluster.ts";
import { UsageError } from "../../cli/errors.ts";
import { gatewayConfigText } from "../../cli/gateway-config.ts";
import { httpHostOf, layoutOf } from "../../cli/layout.ts";
import { checkNative, settingsOf, upSpec, type Settings } from "../../cli/settings.ts";
import type { ClusterSettings } from "../../cli/state-directory.ts";
import { whatToTry } from "../../cli/what-to-try.ts";
import { writtenMapSchema } from "../../schemas/cluster-map.ts";
import { read } from "../../schemas/reading.ts";

function settings(...args: string[]): Settings {
  return settingsOf(parseArguments(upSpec, args));
}

describe("settingsOf", () => {
  it("takes the algorithms of challenges in any order, and no others", () => {
    expect(settings("--digest", "sha-256,md5").digest).toEqual(["SHA-256", "MD5"]);
    expect(() => settings("--digest", "toString")).toThrow("--digest toString: must be md5, or sha-256, or sha-256,md5, or md5,sha-256");
  });

  it("takes how many wrong passwords are borne, none or any number", () => {
    for (const count of [0, 1, 250]) {
      const asked = settings("--failed-logins", String(count));
      const map = clusterMapOf({ domain: "example.test", exchanges: 2, cells: 2 }, asked, layoutOf(asked, 2));
      expect(map.failedLogins).toBe(count);
    }
    expect(() => settings("--failed-logins", "-1")).toThrow("--failed-logins -1: must be a whole number from 0 to 100000");
  });

  it("takes how certificates are had by ACME: for the names that are advertised, or for others", () => {
    const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory";
    const usual = { mail: "a@example.org", directory: letsEncrypt, ca: undefined, names: ["pbx.example.org"], port: 80 };
    expect(settings("--acme", "a@example.org", "--advertise", "PBX.example.org").acme).toEqual(usual);
    const own = ["--acme-directory", "https://192.0.2.9/dir", "--acme-ca", "ca.pem", "--acme-port", "8080"];
    expect(settings("--acme", "a@example.org", "--acme-names", "pbx.example.org,example.org", ...own).acme).toEqual({
      ...usual,
      directory: "https://192.0.2.9/dir",
      ca: resolve("ca.pem"),
      names: ["pbx.example.org", "example.org"],
      port: 8080,
    });
    expect(settings().acme).toBeUndefined();
  });

  it.each([
    [["--acme-port", "80"], "--acme-port needs --acme beside it"],
    [["--acme", "nobody"], "--acme nobody: must be a mail address, to which the authority writes"],
    [
      ["--acme", "a@b.c", "--tls-cert", "c", "--tls-key", "k"],
      "--acme and --tls-cert exclude each other: one of them says which certificate it is",
    ],
    [["--acme", "a@b.c"], "--acme needs the names that browsers and phones use: --acme-names, or a name in --advertise"],
    [
      ["--acme", "a@b.c", "--advertise", "192.0.2.1"],
      "--acme needs the names that browsers and phones use: --acme-names, or a name in --advertise",
    ],
    [
      ["--acme", "a@b.c", "--acme-names", "x.example.org", "--acme-directory", "http://x/"],
      "--acme-directory http://x/: must be an https URL",
    ],
    ...["localhost", "192.0.2.1", "*.example.org", "a..b", "-a.example.org", ""].map((name): [string[], string] => [
      ["--acme", "a@b.c", "--acme-names", `x.example.org,${name}`],
      `--acme-names ${name}: must be names of this machine in DNS`,
    ]),
  ])("refuses %j", (args, reason) => {
    expect(() => settings(...args)).toThrow(new UsageError(`${reason} (see tandem up --help)`));
  });

  it("takes whom the gateways trust, and how much they take of others, and writes it into their file at every start", () => {
    const asked = settings("--trusted", "192.0.2.77,[2001:db8::9],198.51.100.0/24", "--messages-per-source", "300");
    const layout = layoutOf(asked, 1);
    const [gateway] = layout.gateways;
    const tls = { ca: undefined, certificate: "c", key: "k" };
    const text = gateway === undefined ? "" : gatewayConfigText(gateway, layout.cells, "secret", tls, asked);
    expect(text).toContain('[limits]\nmessagesPerSource = 300\ntrusted = [ "192.0.2.77", "2001:db8::9", "198.51.100.0/24" ]');
    for (const wrong of ["carrier.test", "192.0.2.0/8", "2001:db8::/32", "192.0.2.0/33", "::ffff:192.0.2.0/120", "192.0.2.1/", ""]) {
      expect(() => settings(`--trusted=192.0.2.77,${wrong}`)).toThrow(
        `--trusted ${wrong}: must be addresses, or networks of /16 to /32, of IPv6 /48 to /128, for example`,
      );
    }
    expect(() => settings("--messages-per-source", "x")).toThrow("--messages-per-source x: must be a whole number from 0 to 1000000");
  });

  it("takes load balancers that say who phones are, and writes them into the gateways' file", () => {
    const asked = settings("--proxy-from", "192.0.2.5,198.51.100.0/24");
    const layout = layoutOf(asked, 1);
    const [gateway] = layout.gateways;
    const text =
      gateway === undefined ? "" : gatewayConfigText(gateway, layout.cells, "secret", { ca: undefined, certificate: "c", key: "k" }, asked);
    expect(text).toContain('proxyFrom = [ "192.0.2.5", "198.51.100.0/24" ]');
    expect(() => settings("--proxy-from", "lb.test")).toThrow("--proxy-from lb.test: must be addresses, or networks of ");
  });

  it.each([
    ["up", []],
    ["install-service", ["--print"]],
    ["join", ["https://192.0.2.10:8840", "--token", "-"]],
  ])("%s refuses readers of metrics where there is no page", async (name, words) => {
    const { code, err } = await runCommand([name, ...words, "--metrics-from", "192.0.2.7"]);
    const why = "--metrics-from: says who reads /metrics of the page that --health makes, and that is missing";
    expect([code, err]).toEqual([2, expect.stringContaining(why)]);
  });

  it("takes where load balancers ask, gives each gateway a page of its own, and writes it into its file", () => {
    const asked = settings("--health", "[::1]:8080", "--gateways", "2");
    const { gateways, cells } = layoutOf(asked, 1);
    const files = { ca: undefined, certificate: "c", key: "k" };
    const texts = gateways.map((gateway) => gatewayConfigText(gateway, cells, "secret", files, asked));
    expect(texts.map((text) => /^health = .*$/m.exec(text)?.[0])).toEqual(['health = "[::1]:8080"', 'health = "[::1]:8081"']);
    expect(gatewayConfigText({ id: "g1", listeners: [] }, cells, "secret", files, settings())).not.toContain("health");
    for (const wrong of ["8080", "lb.test:8080", "127.0.0.1", "::1:8080", "[127.0.0.1]:8080", "127.0.0.1:0", "127.0.0.1:65536"])
      expect(() => settings("--health", wrong)).toThrow(/--health .*must be (?:ADDRESS:PORT of this machine|a whole number)/);
    expect(() => layoutOf(settings("--health", "127.0.0.1:5060"), 1)).toThrow(
      "port 5060 is needed by gateway g1 for TCP and by gateway g1 for its page: change --sip or --health",
    );
  });

  it("takes several cluster addresses, of which each gateway has one listener of each kind", () => {
    const placesOf = (...args: string[]): string[][] =>
      layoutOf(settings(...args, "--gateways", "2", "--ws-port", "5080"), 2).gateways.map(({ listeners }) =>
        listeners.map(({ transport, host, port }) => `${transport} ${host} ${port}`),
      );
    const two = ["--sip", "192.0.2.1", "--sip", "[2001:db8::1]:5070"];
    const [first = [], second = []] = placesOf(...two);
    expect(first).toEqual([
      "UDP 192.0.2.1 5060",
      "TCP 192.0.2.1 5060",
      "TLS 192.0.2.1 5061",
      "WS 192.0.2.1 5080",
      "UDP 2001:db8::1 5070",
      "TCP 2001:db8::1 5070",
      "TLS 2001:db8::1 5061",
      "WS 2001:db8::1 5080",
    ]);
    expect(second.map((place) => place.split(" ")[2])).toEqual(["5062", "5062", "5063", "5082", "5072", "5072", "5063", "5082"]);
    // A third one adds one of each to each gateway.
    const three = placesOf(...two, "--sip", "192.0.2.3");
    expect(three.map((places) => places.filter((place) => !place.includes(" 192.0.2.3 ")))).toEqual([first, second]);
    expect(three.map((places) => places.filter((place) => place.includes(" 192.0.2.3 ")).length)).toEqual([4, 4]);
    const asked = settings(...two, "--http-host", "127.0.0.1");
    const { aliases } = clusterMapOf({ domain: "example.test", exchanges: 2, cells: 2 }, asked, layoutOf(asked, 2));
    expect(aliases).toEqual(expect.arrayContaining(["192.0.2.1:5060", "[2001:db8::1]", "[2001:db8::1]:5070"]));
    expect(whatToTry(asked, "example.test", layoutOf(asked, 2), {})).toContain(
      "192.0.2.1:5060 (UDP, TCP), 192.0.2.1:5061 (TLS), [2001:db8::1]:5070 (UDP, TCP)",
    );
  });

  it.each([
    [["--sip", "192.0.2.1", "--sip", "192.0.2.1:5070"], "--sip 192.0.2.1: is given twice"],
    [["--sip", "0.0.0.0", "--sip", "192.0.2.1"], "--sip 0.0.0.0: "],
    [["--sip", "192.0.2.1", "--sip", "192.0.2.2", "--advertise", "pbx.test"], "--advertise stands for one address"],
    [["--tls-port", "5061", "--tls-port", "5062"], "--tls-port is given twice"],
  ])("refuses %j", (args, reason) => {
    expect(() => settings(...args)).toThrow(reason);
  });

  it("says what to write for a network that is named by an address within it, for a space and for an empty name", () => {
    expect(() => settings("--trusted", "192.0.2.7/24")).toThrow(
      "--trusted 192.0.2.7/24: is an address within its network: write 192.0.2.0/24 for all of it, or 192.0.2.7",
    );
    expect(() => settings("--trusted", "192.0.255.7/20")).toThrow("write 192.0.240.0/20 ");
    expect(settings("--trusted", "192.0.2.7/32,192.0.240.0/20,255.255.0.0/16").trusted).toHaveLength(3);
    expect(() => settings("--trusted", "192.0.2.1, 192.0.2.2")).toThrow("; no spaces between them");
    expect(() => settings("--trusted", "192.0.2.1,,192.0.2.2")).toThrow("; one of them is empty");
  });

  it("refuses an environment that the gateways would refuse", () => {
    for (const fine of [undefined, "", "on", "Off"]) expect(() => checkNative(fine)).not.toThrow();
    expect(() => checkNative("maybe")).toThrow("TANDEM_NATIVE takes on or off, is maybe");
  });

  it("has the defaults of the contract", () => {
    expect(settings()).toEqual({
      domain: undefined,
      auth: "digest",
      digest: ["MD5"],
      failedLogins: undefined,
      host: "127.0.0.1",
      sipPort: 5060,
      tlsPort: 5061,
      wsPort: undefined,
      wssPort: undefined,
      httpPort: 8801,
      cells: undefined,
      gateways: 1,
      exchanges: undefined,
      replication: true,
      state: resolve(".tandem"),
      restart: true,
      json: false,
    });
  });

  it("takes an IPv6 address in brackets, and 5060 when no port is named", () => {
    expect(settings("--sip", "[::1]:15060")).toMatchObject({ host: "::1", sipPort: 15_060 });
    expect(settings("--sip", "[::1]")).toMatchObject({ host: "::1", sipPort: 5060 });
  });

  it("keeps the cells' doors on the loopback, whatever phones use, unless it is told otherwise", () => {
    const urls = (...args: string[]): string[] => layoutOf(settings(...args), 1).cells.map(({ url }) => url);
    expect(urls("--sip", "192.0.2.10")).toEqual(["http://127.0.0.1:8801"]);
    expect(urls("--sip", "127.0.0.7")).toEqual(["http://127.0.0.7:8801"]);
    expect(urls("--sip", "192.0.2.10", "--http-host", "192.0.2.11")).toEqual(["http://192.0.2.11:8801"]);
    // Commands and gateways of this machine find what listens everywhere here.
    expect(urls("--sip", "192.0.2.10", "--http-host", "0.0.0.0")).toEqual(["http://127.0.0.1:8801"]);
    expect(httpHostOf(settings("--sip", "192.0.2.10"))).toBe("127.0.0.1");
    expect(httpHostOf(settings("--sip", "192.0.2.10", "--http-host", "0.0.0.0"))).toBe("0.0.0.0");
  });

  it("listens everywhere, and says the one address that phones use", () => {
    const wide = settings("--sip", "0.0.0.0", "--advertise", "PBX.example.org");
    expect(wide).toMatchObject({ host: "0.0.0.0", sipPort: 5060, advertise: "pbx.example.org" });
    const layout = layoutOf(wide, 1);
    const [gateway] = layout.gateways;
    const tls = { ca: undefined, certificate: "c", key: "k" };
    const text = gateway === undefined ? "" : gatewayConfigText(gateway, layout.cells, "secret", tls, wide);
    expect(text).toContain('host = "0.0.0.0"\nport = 5060\nadvertise = "pbx.example.org:5060"');
    const { aliases } = clusterMapOf(clusterSettingsOf(wide, undefined), wide, layout);
    expect(aliases).toContain("pbx.example.org");
    expect(aliases).toContain("pbx.example.org:5060");
    expect(aliases.join(" ")).not.toContain("0.0.0.0");
    expect(whatToTry(wide, "example.org", layout, {})).toContain("pbx.example.org:5060 (UDP, TCP), pbx.example.org:5061 (TLS)");
    const inner = settings("--sip", "[::]:5070", "--advertise", "[2001:db8::1]");
    expect(inner).toMatchObject({ host: "::", advertise: "2001:db8::1" });
  });

  it.each([
    ["localhost", /^--domain localhost: is what each machine calls itself: a SIP domain must be no machine's name/],
    ["pbx.LOCALHOST", /^--domain pbx\.LOCALHOST: is what each machine calls itself/],
    [hostname(), /: is this machine's own name; choose another one: /],
  ])("takes no machine's name for a domain: %s", (name, line) => {
    expect(() => settings("--domain", name)).toThrow(line);
  });

  it("takes no domain that is what phones are to call this machine", () => {
    const wrong = settings("--sip", "0.0.0.0", "--domain", "pbx.example.org", "--advertise", "PBX.example.org");
    expect(() => clusterSettingsOf(wrong, undefined)).toThrow(
      /^--advertise pbx\.example\.org: is the SIP domain; give this machine another name: /,
    );
    // One that was started so before goes on, and says so.
    const known = { domain: "pbx.example.org", exchanges: 2, cells: 2 };
    expect(clusterSettingsOf(wrong, known)).toEqual(known);
    expect(advertisingFault(wrong, known.domain)).toBeDefined();
    expect(advertisingFault(wrong, "example.org")).toBeUndefined();
  });

  it("takes a domain in any case", () => {
    expect(settings("--domain", "Example.ORG").domain).toBe("example.org");
  });
});

describe("a machine that is offered to others", () => {
  const offered = settings("--listen", "192.0.2.10");

  it("has a members' socket for each cell, and says so in the map; its door stays where it was", () => {
    const cluster = clusterSettingsOf(offered, undefined);
    expect(cluster).toMatchObject({ listen: { host: "192.0.2.10", port: 8841 }, host: hostNameOf(hostname()) });
    const host = cluster.host ?? "";
    expect(clusterMapOf(cluster, offered, layoutOf(offered, 2)).cells).toEqual([
      { id: "a", url: "https://192.0.2.10:8841", door: "http://127.0.0.1:8801", host },
      { id: "b", url: "https://192.0.2.10:8842", door: "http://127.0.0.1:8802", host },
    ]);
    expect(settings("--listen", "[2001:db8::1]:9000").listen).toEqual({ host: "2001:db8::1", port: 9000 });
    expect(settings("--listen", "2001:db8::1").listen).toEqual({ host: "2001:db8::1", port: 8841 });
  });

  it("has the name that it is given, and no other later", () => {
    const named = settings("--listen", "192.0.2.10", "--name", "blade-1");
    const known = clusterSettingsOf(named, undefined);
    expect(known.host).toBe("blade-1");
    expect(clusterSettingsOf(named, known).host).toBe("blade-1");
    expect(clusterSettingsOf(settings("--name", "blade-1"), known).host).toBe("blade-1");
    expect(() => clusterSettingsOf(settings("--name", "blade-2"), known)).toThrow(
      /^--name blade-2: .* is of host blade-1, and the others know/,
    );
    expect(() => clusterSettingsOf(settings("--name", "blade-1"), undefined)).toThrow(
      /^--name blade-1: is for a machine .* with --listen$/,
    );
    for (const [name, reason] of [
      ["h.2", "must be 1 to 32 letters, digits or hyphens"],
      ["b", "is a name for a cell (one character) or a gateway (g and a number)"],
      ["g12", "is a name for a cell (one character) or a gateway (g and a number)"],
    ] as const)
      expect(() => settings("--listen", "192.0.2.10", "--name", name)).toThrow(`--name ${name}: ${reason}`);
  });

  it("may be so later, stays so, and may be at another address from a start on", () => {
    const before = { domain: "example.test", exchanges: 2, cells: 2 };
    const known = clusterSettingsOf(offered, before);
    expect(known).toMatchObject({ ...before, listen: { host: "192.0.2.10", port: 8841 } });
    expect(clusterSettingsOf(settings(), known)).toEqual(known);
    expect(clusterSettingsOf(settings("--listen", "192.0.2.11"), known)).toEqual({ ...known, listen: { host: "192.0.2.11", port: 8841 } });
  });

  const none = [
    "0.0.0.0",
    "::",
    "0.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "169.254.169.254:8841",
    "ff02::1",
    "[fe80::1]:8841",
    "::ffff:0.0.0.0",
  ];
  it.each([...none, "example.test", "192.0.2.10:", "192.0.2.10:0", "192.0.2"])("is not offered at %s", (address) => {
    expect(() => settings("--listen", address)).toThrow(UsageError);
  });

  it.each([
    ["PBX-1.example.org", "pbx-1-example-org"],
    ["a", "host-a"],
    ["g1", "host-g1"],
    ["", "host-1"],
    ["x.".repeat(20), "x-".repeat(16)],
  ])("has the name of the machine, %s, as members' names are written", (name, host) => {
    expect(hostNameOf(name)).toBe(host);
  });
});

describe("layoutOf", () => {
  it("gives each further gateway the next port pair and each further cell the next port", () => {
    const layout = layoutOf(settings("--gateways", "2", "--sip", "[::1]:5060"), 3);
    expect(layout.cells.map(({ id, url }) => `${id} ${url}`)).toEqual([
      "a http://[::1]:8801",
      "b http://[::1]:8802",
      "c http://[::1]:8803",
    ]);
    expect(layout.gateways.map(({ id, listeners }) => [id, ...listeners.map(({ transport, port }) => `${transport} ${port}`)])).toEqual([
      ["g1", "UDP 5060", "TCP 5060", "TLS 5061"],
      ["g2", "UDP 5062", "TCP 5062", "TLS 5063"],
    ]);
  });

  it("has gateways take softphones over WebSocket when asked to", () => {
    const layout = layoutOf(settings("--gateways", "2", "--ws-port", "5080", "--wss-port", "443"), 1);
    expect(layout.gateways.map(({ listeners }) => listeners.slice(3).map(({ transport, port }) => `${transport} ${port}`))).toEqual([
      ["WS 5080", "WSS 443"],
      ["WS 5082", "WSS 445"],
    ]);
  });

  it.each([
    [["--ws-port", "5061"], "port 5061 is needed by gateway g1 for TLS and by gateway g1 for WS: change --tls-port or --ws-port"],
    [["--tls-port", "5060"], "port 5060 is needed by gateway g1 for TCP and by gateway g1 for TLS: change --sip or --tls-port"],
    [["--http-port", "5061"], "port 5061 is needed by gateway g1 for TLS and by cell a for HTTP: change --tls-port or --http-port"],
    [["--http-port", "65535"], "cell b for HTTP would need port 65536: choose a lower --http-port"],
  ])("refuses %j with one line", (args, line) => {
    expect(() => layoutOf(settings(...args), 2)).toThrow(line);
  });
});

function textFor(...args: string[]): string {
  const asked = settings("--auth", "open", ...args);
  return whatToTry(asked, "example.test", layoutOf(asked, 2), {});
}

describe("whatToTry", () => {
  it("says where a phone registers, and nothing of doors that are not there", () => {
    const text = textFor();
    expect(text).toContain("  Server       127.0.0.1:5060 (UDP, TCP), 127.0.0.1:5061 (TLS)\n");
    expect(text).toContain("  WebSocket    ws://127.0.0.1:8801 or ws://127.0.0.1:8802, subprotocol sip\n");
    expect(text).not.toContain("At gateways");
  });

  it("names the gateways' WebSockets when there are any", () => {
    const text = textFor("--sip", "[::1]:5060", "--ws-port", "5080", "--wss-port", "5081", "--gateways", "2");
    expect(text).toContain("  Server       [::1]:5060 (UDP, TCP), [::1]:5061 (TLS); [::1]:5062 (UDP, TCP), [::1]:5063 (TLS)\n");
    const urls = "ws://[::1]:5080 or wss://[::1]:5081 or ws://[::1]:5082 or wss://[::1]:5083";
    expect(text).toContain(`  At gateways  ${urls}, subprotocol sip\n`);
  });
});

describe("clusterSettingsOf", () => {
  const known = { domain: "known.test", exchanges: 8, cells: 3 };

  it("uses defaults at a first start", () => {
    expect(clusterSettingsOf(settings(), undefined)).toEqual({ domain: "example.test", exchanges: 2, cells: 2 });
  });

  it("has an exchange for each cell at least, and says so where it was asked for fewer", () => {
    expect(clusterSettingsOf(settings("--cells", "4"), undefined)).toEqual({ domain: "example.test", exchanges: 4, cells: 4 });
    expect(clusterSettingsOf(settings("--cells", "3", "--exchanges", "8"), undefined)).toMatchObject({ exchanges: 8, cells: 3 });
    const line = "--exchanges 2: 4 cells need as many at least, or some of them serve nobody; 8 are as good";
    expect(() => clusterSettingsOf(settings("--cells", "4", "--exchanges", "2"), undefined)).toThrow(line);
    // What is there already is found.
    expect(clusterSettingsOf(settings(), { domain: "known.test", exchanges: 1, cells: 2 })).toMatchObject({ exchanges: 1, cells: 2 });
  });

  it("gives a new state directory a key of its own, and an older one none", () => {
    const cluster = clusterSettingsOf(settings(), undefined);
    const [one, other] = [withHashKey(cluster, undefined), withHashKey(cluster, undefined)];
    expect(one.hashKey).toMatch(/^[0-9a-f]{32}$/);
    expect(other.hashKey).not.toBe(one.hashKey);
    expect(withHashKey(known, known)).toEqual(known);
    expect(clusterMapOf(one, settings(), layoutOf(settings(), 2))).toMatchObject({ hashKey: one.hashKey });
    expect(clusterMapOf(known, settings(), layoutOf(settings(), 3))).not.toHaveProperty("hashKey");
  });

  it("uses what the state directory was made with, without being told again", () => {
    expect(clusterSettingsOf(settings(), known)).toEqual(known);
    expect(clusterSettingsOf(settings("--domain", "known.test", "--cells", "3"), known)).toEqual(known);
  });

  it("has the cells that the state directory has by now: they keep their letters, and these their ports", () => {
    const grown = { ...known, cells: 3, letters: ["b", "c", "e"] };
    expect(clusterSettingsOf(settings("--cells", "3"), grown)).toEqual(grown);
    expect(layoutOf(settings(), lettersOf(grown)).cells.map(({ id, port }) => `${id} ${port}`)).toEqual(["b 8802", "c 8803", "e 8805"]);
    expect(lettersOf(known)).toEqual(["a", "b", "c"]);
    const line = "--cells 2: /d has the cells b, c, e by now; tandem cell add and tandem cell remove change them while it runs";
    expect(() => clusterSettingsOf(settings("--state", "/d", "--cells", "2"), grown)).toThrow(line);
  });

  it("says what a command has made of it since, and that this need not be said at a start", () => {
    const grown = withChanged(withChanged(known, "cells", 4), "exchanges", 16);
    const start =
      (...args: string[]) =>
      (): unknown =>
        clusterSettingsOf(settings("--state", "/d", ...args), grown);
    expect(start("--cells", "3")).toThrow("--cells 3: /d has 4 cells now (cells were added or removed): leave --cells away");
    expect(start("--exchanges", "8")).toThrow("--exchanges 8: /d has 16 exchanges now (they were doubled): leave --exchanges away");
    expect(start("--cells", "4", "--exchanges", "16")()).toEqual(grown);
  });

  it.each([
    [["--domain", "other.test"], "--domain other.test: /d was made with --domain known.test; use another --state"],
    [["--exchanges", "4"], "--exchanges 4: /d was made with --exchanges 8; use another --state"],
    [["--cells", "2"], "--cells 2: /d was made with --cells 3; use another --state"],
  ])("refuses %j: the places of the records would change", (args, line) => {
    expect(() => clusterSettingsOf(settings("--state", "/d", ...args), known)).toThrow(line);
  });
});

describe("clusterMapOf", () => {
  it.each([
    ["a state directory of 29 November 2026", new URL("../fixtures/state-of-9a7e0eb/cluster.json", import.meta.url)],
    ["no state directory", undefined],
  ])("makes a map that a cell takes, of %s", (_name, file) => {
    const known = file === undefined ? undefined : (JSON.parse(readFileSync(file, "utf8")) as ClusterSettings);
    for (const args of [[], ["--auth", "open", "--failed-logins", "0", "--digest", "sha-256,md5"]]) {
      const asked = settings(...args);
      const cluster = clusterSettingsOf(asked, known);
      const map = clusterMapOf(cluster, asked, layoutOf(asked, cluster.cells));
      expect(read(writtenMapSchema, JSON.parse(JSON.stringify(map)))).toEqual({ value: map });
    }
  });

  it("names the cluster addresses as aliases of the domain, with and without port", () => {
    const asked = settings("--auth", "open", "--sip", "[::1]:5060");
    const map = clusterMapOf({ domain: "example.test", exchanges: 2, cells: 2 }, asked, layoutOf(asked, 2));
    expect(map).toMatchObject({
      version: 1,
      cells: [
        { id: "a", url: "http://[::1]:8801" },
        { id: "b", url: "http://[::1]:8802" },
      ],
      exchangeCount: 2,
      domains: [{ name: "example.test", auth: "open", digest: ["MD5"] }],
      aliases: ["[::1]", "[::1]:5060", "[::1]:5061", "[::1]:8801", "[::1]:8802"],
    });
  });
});
