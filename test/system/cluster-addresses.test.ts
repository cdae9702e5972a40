import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inNamespace, removeNamespaces, runScript } from "../../kit/world/namespaces.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { comesTrue, until } from "../../kit/world/until.ts";
import { requestText } from "../gateway/sip-text.ts";

/*
 * Two blades with the same two cluster addresses on their loopback, behind a sprayer that rewrites the MAC only. Blades and sprayer are network namespaces. What the sprayer
 * decides is a neighbour entry. Nothing leaves these namespaces.
 */

const own = process.pid;
const [sprayer, bladeA, bladeB] = [`tandem-${own}-s`, `tandem-${own}-a`, `tandem-${own}-b`];
const blades = [bladeA, bladeB];
const clusterAddresses = ["10.77.0.1", "10.77.0.2"];
const bladeAddresses = ["10.78.0.1", "10.78.0.2"];
const node = join(import.meta.dirname, "../../node_modules/.bin/node");
const gatewayProgram = join(import.meta.dirname, "../../gateway/index.ts");

/** The namespaces, or why there are none to be had: only root may make them. */
function namespaces(): "made" | Error {
  try {
    runScript(`
      for each in ${sprayer} ${bladeA} ${bladeB}; do ip netns add $each; ip -n $each link set lo up; done
      ip -n ${sprayer} link add br0 type bridge
      ip -n ${sprayer} address add 10.78.0.254/24 dev br0
      ip -n ${sprayer} link set br0 up`);
    for (const [index, blade] of blades.entries()) {
      runScript(`
        ip -n ${sprayer} link add v${index} type veth peer name eth0 netns ${blade}
        ip -n ${sprayer} link set v${index} master br0 up
        ip -n ${blade} address add ${bladeAddresses[index]}/24 dev eth0
        ip -n ${blade} link set eth0 up
        ip netns exec ${blade} sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
        for each in ${clusterAddresses.join(" ")}; do ip -n ${blade} address add $each/32 dev lo; done`);
    }
    for (const address of clusterAddresses) runScript(`ip -n ${sprayer} route add ${address}/32 dev br0`);
    return "made";
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

const made = namespaces();
const isMade = made === "made";
const macs = isMade ? blades.map((blade) => runScript(`ip netns exec ${blade} cat /sys/class/net/eth0/address`).trim()) : [];

/** From now on the sprayer gives what is for a cluster address to this blade. */
function spray(address: string, blade: number): void {
  runScript(`ip -n ${sprayer} neigh replace ${address} lladdr ${macs[blade]} dev br0 nud permanent`);
}

type Datagram = { readonly host: string; readonly port: number; readonly text: string };

/** A phone's socket beside the sprayer: what it is told to send leaves, and what comes is told. */
const socketScript = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (octets, { address, port }) => process.send({ host: address, port, text: octets.toString("latin1") }));
  process.on("message", ({ host, port, text }) => socket.send(text, port, host));
  process.on("disconnect", () => process.exit());
  socket.bind(0, "10.78.0.254", () => process.send({ host: "", port: socket.address().port, text: "" }));`;

let system: Tandem;
let other: ChildProcess;
let phone: ChildProcess;
let phonePort = 0;
let port = 0;
const came: Datagram[] = [];

beforeAll(async () => {
  if (!isMade) return;
  system = await startTandem({
    auth: "open",
    host: clusterAddresses[0] ?? "",
    options: ["--sip", `${clusterAddresses[1]}:5060`, "--http-host", bladeAddresses[0] ?? ""],
    spawn: (command, args) => inNamespace(bladeA, command, args),
  });
  const { cells, gateways } = system.run;
  port = gateways[0]?.listeners[0]?.port ?? 0;
  const listen = clusterAddresses.flatMap((address, index) => ["--listen", `udp:${address}:${index === 0 ? port : 5060}`]);
  const args = [gatewayProgram, "--json", "--name", "g2", "--secret-file", join(system.state, "secret"), ...listen];
  other = inNamespace(bladeB, node, [...args, ...cells.flatMap(({ id, url }) => ["--cell", `${id}=${url}`])]);
  phone = inNamespace(sprayer, node, ["-e", socketScript], "ignore", true);
  phone.on("message", (datagram: Datagram) => came.push(datagram));
  await until(() => came.length > 0, 20_000);
  phonePort = came.splice(0)[0]?.port ?? 0;
});

afterAll(async () => {
  phone?.disconnect();
  other?.kill("SIGKILL");
  await system?.stop();
  removeNamespaces([sprayer, ...blades]);
});

const portOf = (address: string): number => (address === clusterAddresses[0] ? port : 5060);
let count = 0;

/** The first datagram that matches, of those that come after this was said to a cluster address; undefined: none in time. */
async function ask(address: string, method: string, uri: string, pattern: RegExp, headers = ""): Promise<Datagram | undefined> {
  count += 1;
  came.splice(0);
  const via = `SIP/2.0/UDP 10.78.0.254:${phonePort};rport;branch=z9hG4bK${count}`;
  const callId = `cluster-${own}-${count}-`;
  const text = requestText(method, uri, { via, callId, headers, to: "sip:bob@example.test" });
  phone.send({ host: address, port: portOf(address), text });
  // What an earlier one has asked may be answered late.
  const find = (): Datagram | undefined => came.find((each) => pattern.test(each.text) && each.text.includes(callId));
  await comesTrue(() => find() !== undefined, 3_000);
  return find();
}

/** Which gateway answers a probe to an address, by what only it begins its tags with; undefined: none does. */
async function whoAnswers(address: string): Promise<string | undefined> {
  const answer = await ask(address, "OPTIONS", "sip:example.test", /^SIP\/2\.0 200 /);
  if (answer === undefined) return undefined;
  // Whatever the blade's own address is, this is where the request went.
  expect([answer.host, answer.port]).toEqual([address, portOf(address)]);
  return /tag=(r[0-9a-z]+)-/.exec(answer.text)?.[1];
}

it("there are namespaces, or this user may not make them, and nothing else has a neighbour like a sprayer", () => {
  expect(isMade ? "made" : made.message).toMatch(/^made$|superuser|permitted|permission|not found|Operation not|Peer netns/i);
});

describe.runIf(isMade)("cluster addresses behind a sprayer", () => {
  it("each blade has one instance of each address, and answers from the address that was asked", { timeout: 60_000 }, async () => {
    const tags: (string | undefined)[] = [];
    for (const blade of [0, 1]) {
      for (const address of clusterAddresses) {
        spray(address, blade);
        let tag: string | undefined;
        await until(async () => (tag = await whoAnswers(address)) !== undefined, 20_000);
        tags.push(tag);
      }
    }
    const [first, , last] = tags;
    expect(tags).toEqual([first, first, last, last]);
    expect(last).not.toBe(first);
    expect(system.run.gateways[0]?.listeners.filter(({ transport }) => transport === "UDP")).toHaveLength(2);
  });

  it(
    "Via and Record-Route carry the address, and a frozen blade is out within a probe and back by itself",
    { timeout: 60_000 },
    async () => {
      const [one = "", two = ""] = clusterAddresses;
      spray(two, 1);
      spray(one, 0);
      const contact = `Contact: <sip:bob@10.78.0.254:${phonePort}>\r\nExpires: 600\r\n`;
      expect(await ask(two, "REGISTER", "sip:example.test", /^SIP\/2\.0 200 /, contact)).toMatchObject({ host: two, port: 5060 });
      const invite = await ask(two, "INVITE", "sip:bob@example.test", /^INVITE /, `Contact: <sip:alice@10.78.0.254:${phonePort}>\r\n`);
      expect(invite).toMatchObject({ host: two, port: 5060 });
      expect(invite?.text).toMatch(new RegExp(`^Via: SIP/2\\.0/UDP ${two}(?::5060)?;`, "m"));
      expect(invite?.text).toMatch(new RegExp(`^Record-Route: <sip:[^@]+@${two}[:;>]`, "m"));
      expect(invite?.text).not.toMatch(/^(?:Via|Record-Route):.*10\.78\.0\.[12]\b/m);

      other.kill("SIGSTOP");
      expect(await whoAnswers(two)).toBeUndefined();
      spray(two, 0);
      const atFirst = await whoAnswers(one);
      expect(await whoAnswers(two)).toBe(atFirst);
      other.kill("SIGCONT");
      spray(two, 1);
      await until(async () => ![undefined, atFirst].includes(await whoAnswers(two)), 20_000);
    },
  );
});
