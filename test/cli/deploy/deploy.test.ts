import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ApiClient } from "../../../cli/api-client.ts";
import { parseArguments } from "../../../cli/arguments.ts";
import { deploySpec } from "../../../cli/command-specs.ts";
import { deploy } from "../../../cli/commands/deploy.ts";
import { DeployFiles } from "../../../cli/deploy/files.ts";
import { reasonOf } from "../../../cli/errors.ts";
import { freePorts } from "../../../kit/world/free-ports.ts";
import { comesTrue } from "../../../kit/world/until.ts";
import type { Status } from "../../../schemas/api-answers.ts";
import { TrialAccount } from "./trial-account.ts";

let directory: string;
let account: TrialAccount;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tandem-deploy-test-"));
  const port = await freePorts(2);
  account = await TrialAccount.open(directory, { a: port, b: port + 1 });
  writeSystem();
});

afterEach(async () => {
  await account.close();
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});

/** Two cells of one account, which are bound to each other. */
function writeSystem(more = ""): void {
  const cells = ["a", "b"].map((id) => `[[cells]]\nid = "${id}"\nkind = "cloudflare"\nurl = "${account.url(id)}"\n`);
  writeFileSync(
    join(directory, "tandem.toml"),
    `domains = [{ name = "example.org" }]\nfirstSubscriber = "alice"\nheartbeat = { periodMs = 200, missed = 20 }\n${more}\n${cells.join("\n")}`,
  );
}

/** What the command says, and why it has failed. */
async function run(...words: readonly string[]): Promise<{ readonly out: string; readonly failure: string | undefined }> {
  let out = "";
  const io = { out: (text: string) => void (out += text), err: () => undefined, environment: {}, readStdin: async () => new Uint8Array() };
  try {
    const files = new DeployFiles(join(directory, "tandem.toml"));
    await deploy(parseArguments(deploySpec, words), io, { files, wrangler: account.wrangler, isAsked: true });
    return { out, failure: undefined };
  } catch (error) {
    return { out, failure: reasonOf(error) };
  }
}

/** What was uploaded since: cells, and whether with bindings. */
function uploads(): readonly string[] {
  return account.uploads.splice(0).map(({ words }) => `${words[2]}${words.some((word) => word.endsWith("first.toml")) ? " unbound" : ""}`);
}

function secret(): string {
  return readFileSync(join(directory, "tandem.secret"), "utf8").trim();
}

function status(cell: string): Promise<Status> {
  return new ApiClient([account.url(cell)], secret()).get("/api/status") as Promise<Status>;
}

/** The code that each cell runs, and how it is, as one cell has it. */
async function codes(): Promise<readonly string[]> {
  const { cells } = await status("b");
  return cells.map(({ id, code, state, otherCode = [] }) => `${id} ${state} ${code}${otherCode.length === 0 ? "" : " and others"}`);
}

/** The tag of a step of a plan. */
function tagOf(out: string, cell: string): string {
  return [...out.matchAll(new RegExp(`--env ${cell} --tag ([0-9a-f]{12})`, "g"))].at(-1)?.[1] ?? "";
}

/** A cell hears of the others with their next heartbeats. */
async function expectCodes(wanted: readonly (string | RegExp)[]): Promise<void> {
  let seen: readonly string[] = [];
  const isWanted = (line: string, index: number): boolean => {
    const each = wanted[index] ?? "";
    return typeof each === "string" ? line === each : each.test(line);
  };
  const isSo = async (): Promise<boolean> => (seen = await codes().catch(() => [])).length === wanted.length && seen.every(isWanted);
  if (!(await comesTrue(isSo, 60_000))) throw new Error(seen.join("; "));
}

describe("tandem deploy --yes", { timeout: 600_000 }, () => {
  it("deploys two cells that are bound to each other, and has nothing to do then", async () => {
    const { out, failure } = await run("--yes");
    expect(failure).toBeUndefined();
    expect(uploads()).toEqual(["a unbound", "b", "a"]);
    await expectCodes([`a up ${tagOf(out, "a")}`, `b up ${tagOf(out, "b")}`]);
    expect(out).toMatch(/^alice@example\.org may register, with the password [a-z2-9]{12}: it is said this once$/m);
    expect(await new ApiClient([account.url("a")], secret()).get("/api/subscribers")).toEqual(["alice@example.org"]);
    expect(statSync(join(directory, "tandem.secret")).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(directory, ".tandem", "deploy"))).toEqual(["first.toml"]);
    expect(out).not.toContain(secret());
    const again = await run("--yes");
    expect(again.failure).toBeUndefined();
    expect(again.out).toContain("Nothing is to be done: what runs is what tandem.toml says\n");
    expect(uploads()).toEqual([]);
  });

  it("stops at the first failure with what to do, and goes on there", async () => {
    account.refusal = (words) => (words.includes("b") ? "Authentication error [code: 10000]" : undefined);
    const { failure } = await run("--yes");
    expect(failure).toBe("step 5 of 11, cell b: Authentication error [code: 10000] (tandem deploy --yes goes on there)");
    expect(uploads()).toEqual(["a unbound", "b"]);
    expect(readdirSync(join(directory, ".tandem", "deploy"))).toEqual(["first.toml"]);
    account.refusal = () => undefined;
    expect((await run("--yes")).failure).toBeUndefined();
    expect(uploads()).toEqual(["b", "a"]);
  });

  it("upgrades a system that runs, one cell out of service at a time, and takes up one that was left so", async () => {
    expect((await run("--yes")).failure).toBeUndefined();
    const made = secret();
    uploads();
    writeSystem('aliases = ["192.0.2.1"]');
    account.refusal = (words) => (words[2] === "b" ? "Network connection lost" : undefined);
    const { failure } = await run("--yes");
    expect(failure).toBe("step 5 of 6, cell b: Network connection lost (tandem deploy --yes goes on there)");
    expect(uploads()).toEqual(["a", "b"]);
    await expectCodes([/^a up /, /^b draining /]);
    account.refusal = () => undefined;
    const { out, failure: later } = await run("--yes");
    expect(later).toBeUndefined();
    expect(uploads()).toEqual(["b"]);
    await expectCodes([/^a up [0-9a-f]{12}$/, `b up ${tagOf(out, "b")}`]);
    expect(secret()).toBe(made);
  });

  it("brings back a cell that is gone, and takes the other one not away meanwhile", async () => {
    expect((await run("--yes")).failure).toBeUndefined();
    uploads();
    await account.kill("b");
    const { failure } = await run("--yes");
    expect(failure).toBeUndefined();
    expect(uploads()).toEqual(["b"]);
    await expectCodes([/^a up /, /^b up /]);
  });

  it("does nothing where something else runs than the file says", async () => {
    expect((await run("--yes")).failure).toBeUndefined();
    uploads();
    const file = join(directory, "tandem.toml");
    const toml = readFileSync(file, "utf8");
    writeFileSync(file, `exchanges = 8\n${toml}`);
    expect((await run("--yes")).failure).toBe(
      "exchanges: the running system has 4, and the file 8: only tandem exchanges double changes that",
    );
    writeFileSync(file, toml.replaceAll('id = "b"', 'id = "c"'));
    expect((await run("--yes")).failure).toBe(`${account.url("b")} is cell b, and not c`);
    writeFileSync(file, toml.slice(0, toml.lastIndexOf("[[cells]]")));
    expect((await run("--yes")).failure).toMatch(/^cells: the running system has a, b, and the file a: /);
    writeFileSync(file, toml);
    const kept = secret();
    writeFileSync(join(directory, "tandem.secret"), "x".repeat(32));
    expect((await run("--yes")).failure).toMatch(
      / does not accept this secret .*: tandem\.secret is not the secret that it was deployed with$/,
    );
    rmSync(join(directory, "tandem.secret"));
    expect((await run("--yes")).failure).toMatch(/^tandem\.secret is missing, and without the secret in it nobody can ask cell a at /);
    expect(kept).toHaveLength(64);
    expect(uploads()).toEqual([]);
  });
});
