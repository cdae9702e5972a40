#!/usr/bin/env node
// Runs cli/tandem.ts with the Node of node_modules: plain JavaScript, so that whatever Node there is can start it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const program = new URL("tandem.ts", import.meta.url);
const node = fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url));

if (!existsSync(node) || !existsSync(new URL("../node_modules/smol-toml", import.meta.url))) {
  process.stderr.write("tandem: not installed: run npm ci\n");
  process.exitCode = 1;
} else if (Number(process.versions.node.split(".")[0]) >= 24) {
  const { start } = await import(program.href);
  await start();
} else {
  // The channel tells the command when this process is gone, even when it was killed.
  const child = spawn(node, [fileURLToPath(program), ...process.argv.slice(2)], { stdio: ["inherit", "inherit", "inherit", "ipc"] });
  child.once("error", (error) => {
    process.stderr.write(`tandem: ${node} does not run (${error.message}): run npm ci\n`);
    process.exit(1);
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.once("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
