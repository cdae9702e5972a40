import { afterAll, describe, expect, it } from "vitest";
import { makeMachines, removeNamespaces } from "../../kit/world/namespaces.ts";
import { comesTrue, until } from "../../kit/world/until.ts";
import { wayOf } from "./clients/way.ts";
import { callTo, hangUp } from "./elsewhere.ts";
import { Machines, slowMsMax } from "./machines.ts";

/* Four machines, which are network namespaces: a cell each, and two of them a gateway. The first one makes a system, and the others join it one by one. */

const own = process.pid;
const bridge = `tandem-${own}-b`;
const names = [1, 2, 3, 4].map((number) => `tandem-${own}-${number}`);
const [m1 = "", m2 = "", m3 = "", m4 = ""] = names;
const addresses = names.map((name, index) => [name, `10.83.0.${index + 1}`] as const);
const unmade = makeMachines(bridge, addresses);
const machines = new Machines(addresses);

afterAll(async () => {
  await machines.stop();
  removeNamespaces([bridge, ...names]);
});

it("there are namespaces, or this user may not make them", () => {
  expect(unmade === undefined ? "made" : unmade.message).toMatch(
    /^made$|superuser|permitted|permission|not found|Operation not|Peer netns/i,
  );
});

describe.runIf(unmade === undefined)("four hosts with four cells and two gateways", { timeout: 4 * slowMsMax }, () => {
  it("serve by the printed commands, and each cell has its share", async () => {
    const { readyMs } = await machines.startFirst(m1, { auth: "open", cells: 1, exchanges: 4 });
    const figures = [`h1 ${Math.round(readyMs)} ms`];
    for (const [machine, name, role, cell] of [
      [m2, "h2", "both", "b"],
      [m3, "h3", "cell", "c"],
      [m4, "h4", "cell", "d"],
    ] as const) {
      const invitation = await machines.invite(m1, ["--role", role]);
      const typedAt = performance.now();
      const host = await machines.join(machine, invitation, name);
      const hasShare = async (): Promise<boolean> => {
        const exchanges = (await machines.group(m1))?.exchanges ?? [];
        const isServed = exchanges.some(({ primary, secondary }) => [primary, secondary].includes(cell));
        return isServed && exchanges.every(({ state }) => state === "paired");
      };
      await until(hasShare, slowMsMax);
      figures.push(`${name} ${Math.round(host.readyMs)} ms, with its share ${Math.round(performance.now() - typedAt)} ms`);
    }
    console.log(`from the command to "ready": ${figures.join("; ")}`);
    const isUp = async (): Promise<boolean> => {
      const states = (await machines.group(m4))?.members.map(({ id, state }) => `${id} ${state}`) ?? [];
      return ["a up", "b up", "c up", "d up", "g1 up", "g2 up"].every((each) => states.includes(each));
    };
    expect(await comesTrue(isUp, slowMsMax)).toBe(true);
    const [alice, bob] = await Promise.all(
      ([m1, m2] as const).map(async (machine, index) =>
        (await machines.elsewhere(machine)).open(["alice", "bob"][index] ?? "", wayOf(machines.reached(machine), "UDP")),
      ),
    );
    if (alice === undefined || bob === undefined) throw new Error("they are there");
    for (const phone of [alice, bob]) expect((await phone.register()).status).toBe(200);
    expect(await callTo(alice, bob)).toMatchObject({ status: 200 });
    expect((await hangUp(bob, alice)).map(({ status }) => status)).toEqual([200, 200]);
  });
});
