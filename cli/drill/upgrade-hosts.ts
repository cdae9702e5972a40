import { Failure } from "../errors.ts";
import { isListOf, isTable, isText } from "../json.ts";
import { restMs, rolledMsMax } from "./group-fault.ts";
import { type GroupWatch, isWholeWithout } from "./group-watch.ts";
import type { HostScene } from "./host-fault.ts";

type System = HostScene["system"];

/**
 * `tandem upgrade` on one host after the other. Resolves to when all cells and gateways ran the program of the archive, each in a new process, and every exchange
 * was in two cells.
 */
export async function upgradeHosts(watch: GroupWatch, { system, archive = "", say }: HostScene): Promise<number | undefined> {
  let upgraded = 0;
  const typed = async (): Promise<void> => {
    for (const host of system.hosts) {
      const before = processesOf(system, host);
      const answer: unknown = JSON.parse(await system.command(host, "upgrade", "--to", archive, "--json"));
      const version = isTable(answer) ? answer["version"] : undefined;
      if (!isText(version)) throw new Failure(`tandem upgrade on ${host} does not say which version it is`);
      const same = processesOf(system, host).filter((pid) => before.includes(pid));
      if (same.length > 0) throw new Failure(`${host} is upgraded, and these processes are those of before: ${same.join(", ")}`);
      const others = (await versionsOn(system, host)).filter((each) => each !== version);
      if (others.length > 0) throw new Failure(`${host} is upgraded to ${version}, and its status says ${others.join(", ")}`);
      say(`${host} runs ${version}`);
      upgraded += 1;
    }
  };
  const isDone: Parameters<GroupWatch["until"]>[0] = (status) => isWholeWithout(status, []) && upgraded === system.hosts.length;
  const [ms] = await Promise.all([watch.until(isDone, rolledMsMax, restMs), typed()]);
  return ms;
}

function processesOf(system: System, host: string): readonly number[] {
  const { cells, gateways } = system.runOf(host);
  return [...cells, ...gateways].map(({ pid }) => pid);
}

/** What `tandem status` says of the versions of those that run on a host. */
async function versionsOn(system: System, host: string): Promise<readonly unknown[]> {
  const status: unknown = JSON.parse(await system.command(host, "status", "--json"));
  const { cells, gateways } = isTable(status) ? status : {};
  const own = new Set([...system.runOf(host).cells, ...system.runOf(host).gateways].map(({ id }) => id));
  const members = [cells, gateways].flatMap((all) => (isListOf(all, isTable) ? all : []));
  return members.filter(({ id }) => own.has(String(id))).map(({ version }) => version);
}
