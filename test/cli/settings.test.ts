import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parseArguments } from "../../cli/arguments.ts";
import { clusterMapOf, clusterSettingsOf } from "../../cli/cluster.ts";
import { gatewayConfigText } from "../../cli/gateway-config.ts";
import { httpHostOf, layoutOf } from "../../cli/layout.ts";
import { settingsOf, upSpec, type Settings } from "../../cli/settings.ts";
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

  it("takes a domain in any case", () => {
    expect(settings("--domain", "Example.ORG").domain).toBe("example.org");
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

  it("uses what the state directory was made with, without being told again", () => {
    expect(clusterSettingsOf(settings(), known)).toEqual(known);
    expect(clusterSettingsOf(settings("--domain", "known.test", "--cells", "3"), known)).toEqual(known);
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
