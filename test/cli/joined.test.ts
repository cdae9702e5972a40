import { hostname } from "node:os";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { Failure, UsageError } from "../../cli/errors.ts";
import { checkDomains, checkJoinedOptions, namesIn, optionsToKeep, type Wanted, withKept } from "../../cli/joined.ts";
import { joinSettingsOf, joinSpec } from "../../cli/join-settings.ts";
import { parseArguments } from "../../cli/arguments.ts";
import { settingsOf, upSpec } from "../../cli/settings.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { groupMap } from "../cluster/group/group-map.ts";
import { runCommand } from "./captured-io.ts";

const members = [
  { id: "h1", kind: "host", host: "h1", key: "k1" },
  { id: "a", kind: "cell", host: "h1", key: "k2" },
  { id: "g1", kind: "gateway", host: "h1", key: "k3" },
  { id: "g3", kind: "gateway", host: "h3", key: "k4" },
] as const;
const map: ClusterMap = { ...groupMap(["a", "b"]), authority: "x", members };
const wanted: Wanted = { hasCell: true, gateways: 2, before: { letters: [], gateways: [] }, keyOf: () => undefined };

describe("the names of what a newcomer runs", () => {
  it("are those that nobody has", () => {
    expect(namesIn(map, wanted)).toEqual({ letters: ["c"], gateways: ["g2", "g4"] });
    expect(namesIn(map, { ...wanted, hasCell: false, gateways: 1 })).toEqual({ letters: [], gateways: ["g2"] });
    expect(namesIn(map, { ...wanted, gateways: 0 })).toEqual({ letters: ["c"], gateways: [] });
  });

  it("are those of a try before, while nobody else has taken them", () => {
    const before = { letters: ["d"], gateways: ["g7"] };
    expect(namesIn(map, { ...wanted, before })).toEqual({ letters: ["d"], gateways: ["g7", "g2"] });
    const taken = { ...map, members: [...members, { id: "d", kind: "cell", host: "h9", key: "k9" } as const] };
    expect(namesIn(taken, { ...wanted, before }).letters).toEqual(["c"]);
    expect(namesIn(taken, { ...wanted, before, keyOf: (id) => (id === "d" ? "k9" : undefined) }).letters).toEqual(["d"]);
  });

  it("have an end", () => {
    const cells = Array.from("abcdefghijklmnopqrstuvwxyz", (id) => ({ id, url: `https://192.0.2.1:${id.charCodeAt(0)}` }));
    expect(() => namesIn({ ...map, cells }, wanted)).toThrow(new Failure("there are 26 cells already"));
  });
});

function named(name: string): ClusterMap {
  return { ...map, domains: [{ name, auth: "digest" }] };
}

function settings(...words: string[]): ReturnType<typeof joinSettingsOf> {
  return joinSettingsOf(parseArguments(joinSpec, words));
}

describe("a SIP domain", () => {
  it("is no name of a machine that joins", () => {
    expect(() => checkDomains(named("pbx"), "PBX", { advertise: undefined })).toThrow(
      /^pbx is a SIP domain of the system, and the name of this machine: /,
    );
    expect(() => checkDomains(named(hostname().toLowerCase()), "h2", { advertise: undefined })).toThrow("the name of this machine");
    expect(() => checkDomains(named("example.org"), "h2", { advertise: "example.org" })).toThrow(
      /^--advertise example\.org: is a SIP domain/,
    );
    expect(() => checkDomains(named("example.org"), "h2", { advertise: "h2.example.org" })).not.toThrow();
  });
});

describe("tandem join", () => {
  const url = "https://192.0.2.10:8840";

  it("takes where this machine is reached, and what tandem up takes of gateways", () => {
    const all = settings(
      url,
      "--token",
      "-",
      "--address",
      "192.0.2.11",
      "--name",
      "h2",
      "--location",
      "Basel",
      "--sip",
      "192.0.2.11",
      "--gateways",
      "2",
    );
    expect(all).toMatchObject({ url, token: "-", name: "h2", location: "Basel" });
    expect(all.settings).toMatchObject({ listen: { host: "192.0.2.11", port: 8841 }, host: "192.0.2.11", gateways: 2 });
    expect(settings(`${url}/`, "--token", "-")).toMatchObject({ url, settings: { listen: undefined } });
  });

  it.each([
    [[url], "--token is missing"],
    [["http://192.0.2.10:8840", "--token", "-"], "must be a URL as https://"],
    [["192.0.2.10:8840", "--token", "-"], "must be a URL as https://"],
    [[`${url}/join`, "--token", "-"], "must be a URL as https://"],
    [[url, "--token", "-", "--name", "h.2"], "--name h.2: must be 1 to 32 letters"],
    [[url, "--token", "-", "--location", " "], "--location: must be"],
    [[url, "--token", "-", "--address", "0.0.0.0"], "--address 0.0.0.0: must be an address of this machine"],
    [
      [url, "--token", "-", "--sip", "x"],
      "--sip x: ADDRESS must be an address of this machine, for example 127.0.0.1 or [::1] (see tandem join --help)",
    ],
    [[url, "--token", "-", "--domain", "example.org"], "unknown option --domain"],
  ])("refuses %j", (words, reason) => {
    expect(() => settings(...words)).toThrow(UsageError);
    expect(() => settings(...words)).toThrow(reason);
  });

  it("takes no token on its command line, and no text that is none", async () => {
    const token = `tandem1.${"0".repeat(16)}.both.1790000000000.${"a".repeat(64)}..${"0".repeat(64)}`;
    const onLine = await runCommand(["join", url, "--token", token]);
    expect(onLine).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^tandem: --token: give the token in a file, or - .*\n$/) as string,
    });
    expect(onLine.err).not.toContain("aaaa");
    expect(await runCommand(["join", url, "--token", "-"], { stdin: "nonsense\n" })).toMatchObject({
      code: 1,
      err: "tandem: this is no token of tandem invite\n",
    });
    expect(await runCommand(["join", url, "--token", "/nowhere/token"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("cannot be read") as string,
    });
  });
});

const join = (...words: string[]): ReturnType<typeof optionsToKeep> =>
  optionsToKeep(parseArguments(joinSpec, ["https://192.0.2.10:8840", "--token", "-", ...words]));
const upAfter = (kept: ReturnType<typeof optionsToKeep>, ...words: string[]): ReturnType<typeof optionsToKeep> =>
  optionsToKeep(withKept(parseArguments(upSpec, words), kept));

describe("what a host was told of itself when it joined", () => {
  it("is known when it is started again: paths are whole, and what only joining needs is not kept", () => {
    const kept = join("--sip", "192.0.2.1", "--sip", "192.0.2.2", "--tls-cert", "c.pem", "--tls-key", "/k.pem", "--name", "h2", "--json");
    expect(kept).toEqual({ sip: ["192.0.2.1", "192.0.2.2"], "tls-cert": [resolve("c.pem")], "tls-key": ["/k.pem"] });
    expect(upAfter(kept)).toEqual(kept);
    expect(upAfter({})).toEqual({});
  });

  it("gives way to what is said then, together with what does not fit beside it", () => {
    const kept = join("--sip", "0.0.0.0", "--advertise", "192.0.2.1", "--acme", "a@example.org", "--acme-names", "g1.example.org");
    expect(upAfter(kept, "--sip", "192.0.2.3")).toEqual({
      sip: ["192.0.2.3"],
      acme: ["a@example.org"],
      "acme-names": ["g1.example.org"],
    });
    expect(upAfter(kept, "--tls-cert", "/c", "--tls-key", "/k")).toEqual({
      sip: ["0.0.0.0"],
      advertise: ["192.0.2.1"],
      "tls-cert": ["/c"],
      "tls-key": ["/k"],
    });
  });

  it("is taken back by the word none, at that start and those that follow", () => {
    const kept = join(
      "--ws-port",
      "5080",
      "--wss-port",
      "443",
      "--trusted",
      "192.0.2.7",
      "--acme",
      "a@example.org",
      "--acme-names",
      "g1.example.org",
    );
    const words = ["--ws-port", "none", "--wss-port", "none", "--trusted", "none", "--acme", "none"];
    expect(upAfter(kept, ...words)).toEqual({});
    expect(settingsOf(withKept(parseArguments(upSpec, words), kept))).toMatchObject({ acme: undefined });
    for (const option of ["wsPort", "wssPort", "trusted", "acme", "tls", "proxyFrom", "httpHost"] as const) {
      expect(settingsOf(withKept(parseArguments(upSpec, words), kept))[option]).toBeUndefined();
    }
    expect(upAfter(kept, "--ws-port", "none")).not.toHaveProperty("ws-port");
    expect(upAfter(kept, "--ws-port", "none")).toHaveProperty("wss-port", ["443"]);
    // Of what there is always there is no none.
    expect(() => settingsOf(parseArguments(upSpec, ["--tls-port", "none"]))).toThrow("--tls-port none: must be");
  });
});

it("what a host has that has joined is not said when it is started again", () => {
  const state = new StateDirectory("/x/state");
  const args = { help: false, positionals: [], flags: new Set<string>(), lists: new Map<string, string[]>() };
  expect(() => checkJoinedOptions({ ...args, values: new Map([["gateways", "2"]]) }, state)).toThrow(
    "--gateways: /x/state is of a host that has joined a system",
  );
  expect(() => checkJoinedOptions({ ...args, values: new Map([["sip", "192.0.2.1"]]) }, state)).not.toThrow();
});
