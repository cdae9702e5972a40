import { type Arguments, type CommandSpec, helpOf, overviewOf, parseArguments } from "./arguments.ts";
import { commandSpecs } from "./command-specs.ts";
import { Failure, UsageError, printable, reasonOf } from "./errors.ts";
import type { Io } from "./io.ts";
import { meantForUp } from "./npm-options.ts";
import { askPassword } from "./password-prompt.ts";
import { programVersion, versionText } from "./program.ts";

type Run = (args: Arguments, io: Io) => Promise<void>;

/** Commands are loaded when they are called: `tandem status` need not wait for what only `tandem up` uses. */
async function runOf(name: string): Promise<Run> {
  switch (name) {
    case "up":
      return (await import("./commands/up.ts")).run;
    case "status":
      return (await import("./commands/status.ts")).run;
    case "registrations":
      return (await import("./commands/registrations.ts")).run;
    case "calls":
      return (await import("./commands/calls.ts")).list;
    case "calls show":
      return (await import("./commands/calls.ts")).show;
    case "calls end":
      return (await import("./commands/calls.ts")).endCall;
    case "heartbeat":
      return (await import("./commands/heartbeat.ts")).run;
    case "group":
      return (await import("./commands/group.ts")).show;
    case "group prefer":
      return (await import("./commands/group.ts")).prefer;
    case "group heal-after":
      return (await import("./commands/group.ts")).healAfter;
    case "cell add":
      return (await import("./commands/cell.ts")).add;
    case "cell remove":
      return (await import("./commands/cell.ts")).remove;
    case "cell weight":
      return (await import("./commands/cell.ts")).weigh;
    case "exchanges double":
      return (await import("./commands/exchanges.ts")).double;
    case "gateway weight":
      return (await import("./commands/gateway.ts")).weight;
    case "host":
      return (await import("./commands/host.ts")).run;
    case "rotate-secret":
      return (await import("./commands/rotate-secret.ts")).run;
    case "domain add":
      return (await import("./commands/domain.ts")).add;
    case "domain remove":
      return (await import("./commands/domain.ts")).remove;
    case "domain list":
      return (await import("./commands/domain.ts")).list;
    case "dns":
      return (await import("./commands/dns.ts")).print;
    case "dns check":
      return (await import("./commands/dns.ts")).check;
    case "invite":
      return (await import("./commands/invite.ts")).run;
    case "join":
      return (await import("./commands/join.ts")).run;
    case "remove":
      return (await import("./commands/remove.ts")).run;
    case "reload":
      return (await import("./commands/reload.ts")).run;
    case "upgrade":
      return (await import("./commands/upgrade.ts")).run;
    case "drain":
      return (await import("./commands/drain.ts")).drain;
    case "deploy":
      return (await import("./commands/deploy.ts")).run;
    case "undrain":
      return (await import("./commands/drain.ts")).undrain;
    case "subscriber add":
      return (await import("./commands/subscriber.ts")).add;
    case "subscriber remove":
      return (await import("./commands/subscriber.ts")).remove;
    case "subscriber list":
      return (await import("./commands/subscriber.ts")).list;
    case "subscriber import":
      return (await import("./commands/subscriber.ts")).importFile;
    case "install-service":
      return (await import("./commands/install-service.ts")).run;
    case "drill":
      return (await import("./commands/drill.ts")).run;
    default:
      throw new Error(`no command ${name}`);
  }
}

/** The command that the words name, and what follows it. Some need their second word, as `subscriber` does, and others may have one, as `group`. */
function findCommand(
  words: readonly string[],
): { readonly spec: CommandSpec; readonly rest: readonly string[] } | { readonly help: string } {
  const [first = "", second = ""] = words;
  if (first === "--help" || first === "-h" || first === "help") return { help: overviewOf(commandSpecs) };
  if (first === "") throw new UsageError("a command is missing (see tandem --help)");
  const longer = commandSpecs.find(({ name }) => name === `${first} ${second}`);
  if (longer !== undefined) return { spec: longer, rest: words.slice(2) };
  const spec = commandSpecs.find(({ name }) => name === first);
  if (spec !== undefined) return { spec, rest: words.slice(1) };
  if (!commandSpecs.some(({ name }) => name.startsWith(`${first} `))) {
    throw new UsageError(`unknown ${first.startsWith("-") ? "option" : "command"} ${first} (see tandem --help)`);
  }
  if (second === "--help" || second === "-h") return { help: overviewOf(commandSpecs, first) };
  // Cells and gateways are drained by one command, and not by one of each.
  const isOwn = (first === "cell" || first === "gateway") && (second === "drain" || second === "undrain");
  const unknown = isOwn ? `unknown command ${first} ${second}: it is tandem ${second}` : `unknown command ${second}`;
  throw new UsageError(`${second === "" ? "a command is missing" : unknown} (see tandem ${isOwn ? second : first} --help)`);
}

/** Runs one command line. Returns the exit code: 0, 1 (it failed, and says why on one line), 2 (usage). */
export async function main(words: readonly string[], io: Io): Promise<number> {
  try {
    if (words[0] === "--version") {
      io.out(`${versionText(programVersion())}\n`);
      return 0;
    }
    const found = findCommand(words);
    if ("help" in found) {
      io.out(found.help);
      return 0;
    }
    const meant = found.spec.name === "up" ? meantForUp(found.spec, found.rest, io.environment) : undefined;
    if (meant !== undefined) throw new UsageError(`npm keeps options for itself unless -- comes before them: ${meant}`);
    const args = parseArguments(found.spec, found.rest);
    if (args.help) {
      io.out(helpOf(found.spec));
      return 0;
    }
    const run = await runOf(found.spec.name);
    await run(args, io);
    return 0;
  } catch (error) {
    io.err(`tandem: ${printable(reasonOf(error))}\n`);
    if (error instanceof UsageError) return 2;
    // What the system refuses (a full disk, a file that may not be read) says so itself. Anything else is a defect: its stack helps whoever has to find it.
    if (!(error instanceof Failure) && error instanceof Error && !("syscall" in error)) io.err(`${error.stack ?? ""}\n`);
    return 1;
  }
}

async function readStdin(what: "password" | "token" = "password"): Promise<Uint8Array> {
  if (process.stdin.isTTY) {
    const typed = await askPassword(process.stdin, (text) => void process.stderr.write(text), what);
    if (typed === undefined) throw new Failure(`no ${what} was typed`);
    return Buffer.from(typed);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Runs the command line of this process. */
export async function start(): Promise<void> {
  // Who reads the output may have gone (`tandem up | head`): that is no reason to stop.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  process.exitCode = await main(process.argv.slice(2), {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    environment: process.env,
    readStdin,
  });
}

if (import.meta.main) await start();
