import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseArguments } from "../../cli/arguments.ts";
import { Failure, Refusal } from "../../cli/errors.ts";
import { JoinDoor } from "../../cli/join-door.ts";
import { joinSpec } from "../../cli/join-settings.ts";
import { Newcomer, type NewcomerOptions } from "../../cli/newcomer.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { readInvitation, type Role } from "../../cluster/authority/invitation.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import type { JoinBody } from "../../schemas/join.ts";
import { groupMap } from "../cluster/group/group-map.ts";
import { type OfferedHost, offeredHost } from "./joining.ts";

const host = "127.0.0.1";
const map: ClusterMap = { ...groupMap(["a", "b"]), authority: "a certificate" };

let offered: OfferedHost;
let door: JoinDoor;
let url: string;
/** What the cell behind the door was asked for: names and addresses, request by request. */
const asked: string[][] = [];
let admit: (members: JoinBody["members"]) => ClusterMap;

beforeEach(async () => {
  offered = offeredHost();
  admit = () => map;
  door = new JoinDoor({
    host,
    port: 0,
    tls: offered.tls,
    release: "1.2.3",
    admit: async (_token, members) => {
      asked.push(members.map(({ id, addresses }) => [id, ...addresses].join(" ")));
      const certificates = members.map(({ id }) => ({ id, certificate: `certificate of ${id}`, until: 0 }));
      return await Promise.resolve({
        certificates,
        authority: "",
        cells: [],
        map: JSON.stringify(admit(members)),
        keyring: '{"secret":"x"}',
      });
    },
    said: () => undefined,
  });
  url = `https://${host}:${await door.listen()}`;
});

afterEach(() => {
  door.close();
  asked.splice(0);
  rmSync(offered.state.path, { recursive: true, force: true });
});

/** A machine that joins, from this address of its own. */
async function newcomer(role: Role, words: readonly string[] = [], ownAddress = host, saysWhere = true): Promise<Newcomer> {
  const port = await freePorts(40);
  const state = new StateDirectory(join(offered.state.path, "newcomer"));
  state.create();
  const invitation = readInvitation(offered.token);
  if (invitation === undefined) throw new Error("it was a token");
  const sip = saysWhere && !words.includes("--sip") ? ["--sip", `${host}:${port}`] : [];
  const tls = words.includes("--tls-port") ? [] : ["--tls-port", String(port + 1)];
  const ports = [...sip, ...tls, "--http-port", String(port + 2)];
  const address = ownAddress === host && !words.includes("--address") && role !== "gateway" ? ["--address", `${host}:${port + 20}`] : [];
  const options: NewcomerOptions = {
    args: parseArguments(joinSpec, [url, "--token", "-", ...ports, ...address, ...words]),
    state,
    known: state.readCluster(),
    door: { url, authority: offered.authority.certificate, ownAddress },
    invitation: { ...invitation, role },
    token: offered.token,
    host: "h2",
    location: undefined,
    wasKilled: false,
  };
  return new Newcomer(options);
}

describe("a newcomer", () => {
  it("asks as a host alone, and then for all that it runs, by names that are free", async () => {
    const { cluster } = await (await newcomer("both", ["--gateways", "2"])).join();
    expect(asked).toEqual([["h2 127.0.0.1"], ["h2 127.0.0.1", "c 127.0.0.1", "g1", "g2"]]);
    expect(cluster).toMatchObject({ host: "h2", letters: ["c"], cells: 1, joined: { gateways: ["g1", "g2"], isPlaced: false } });
  });

  it("has neither an address nor a cell where it was invited for gateways", async () => {
    const { cluster } = await (await newcomer("gateway", [], "192.0.2.5")).join();
    expect(asked).toEqual([["h2"], ["h2", "g1"]]);
    expect(cluster).toMatchObject({ letters: [], cells: 0 });
    expect(cluster.listen).toBeUndefined();
  });

  it("takes other names when somebody else was faster, and keeps its own when it tries again", async () => {
    const taken = { ...map, members: [{ id: "c", kind: "cell", host: "h9", key: "x" } as const] };
    admit = (members) => {
      if (asked.length < 3 && members.length > 1) throw new Refusal("the name c is taken by a cell");
      return asked.length < 3 ? map : taken;
    };
    await (await newcomer("cell")).join();
    expect(asked.map((names) => names[1])).toEqual([undefined, "c 127.0.0.1", undefined, "d 127.0.0.1"]);
    asked.splice(0);
    admit = () => taken;
    await (await newcomer("cell")).join();
    expect(asked.at(-1)).toEqual(["h2 127.0.0.1", "d 127.0.0.1"]);
  });

  it("says that its own name is taken, and how to give another", async () => {
    admit = () => {
      throw new Refusal("the name h2 is taken by a host; h2-2 is free");
    };
    const joining = (await newcomer("both")).join();
    await expect(joining).rejects.toThrow(new Failure("the name h2 is taken by a host: choose another one with --name h2-2"));
    expect(asked).toHaveLength(1);
  });

  it("with a cell needs an address that the others reach: one behind a NAT is told so", async () => {
    const joining = (await newcomer("cell", [], "::1")).join();
    await expect(joining).rejects.toThrow(/^the others see this machine at 127\.0\.0\.1, which is no address of it: a cell needs one/);
  });

  it("with a cell needs an address of its own", async () => {
    const joining = (await newcomer("cell", ["--address", "192.0.2.77"])).join();
    await expect(joining).rejects.toThrow(/^192\.0\.2\.77 is not an address of this machine \(--(?:listen|address)\)$/);
    await expect((await newcomer("gateway", ["--sip", "192.0.2.78"], host)).join()).rejects.toThrow(
      new Failure("192.0.2.78 is not an address of this machine (--sip)"),
    );
    // Nobody was asked for a name.
    expect(asked).toEqual([]);
  });

  it.each([
    ["--address", "127.0.0.1"],
    ["--address", "127.0.0.1:8841"],
    ["--address", "[::1]:8841"],
  ])("with a cell is reached by nobody at a loopback address (%s %s)", async (...words) => {
    await expect((await newcomer("cell", words, "192.0.2.5")).join()).rejects.toThrow(
      `--address ${words[1]}: the others would look for this cell on their own machines: 192.0.2.5 is where they reach it`,
    );
    expect(asked).toEqual([]);
  });

  it("has its gateways where it reaches the others, unless it says where, and keeps that for its next start", async () => {
    const port = await freePorts(4);
    const { settings, cluster } = await (await newcomer("gateway", ["--tls-port", String(port)])).join();
    expect([settings.host, cluster.joined?.options?.["tls-port"]]).toEqual([host, [String(port)]]);
    // No address of this machine: it is said before anybody is asked.
    asked.splice(0);
    await expect((await newcomer("gateway", [], "192.0.2.5", false)).join()).rejects.toThrow(
      new Failure("192.0.2.5 is not an address of this machine (--sip)"),
    );
    expect(asked).toEqual([]);
  });

  it("is not called as a SIP domain is", async () => {
    admit = () => ({ ...map, domains: [{ name: "h2", auth: "digest" }] });
    await expect((await newcomer("gateway")).join()).rejects.toThrow(/^h2 is a SIP domain of the system, and the name of this machine: /);
  });
});
