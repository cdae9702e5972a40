import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { archiveUnit } from "../../../cli/package/archive.ts";
import { unitOf, unitWord } from "../../../cli/service/unit.ts";

const directory = mkdtempSync(join(tmpdir(), "tandem-unit-"));
const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("a word of a unit", () => {
  it.each([
    ["--sip", "--sip"],
    ["[2001:db8::1]:5060", "[2001:db8::1]:5060"],
    ["/srv/my phones", '"/srv/my phones"'],
    ["100%", "100%%"],
    ["$HOME", "$$HOME"],
    ['a"b\\c', '"a\\"b\\\\c"'],
  ])("is written as systemd wants it: %s", (word, written) => {
    expect(unitWord(word)).toBe(written);
  });
});

describe("the unit", () => {
  it("starts the program with its options, and is watched", () => {
    const unit = unitOf({ command: ["/opt/tandem/bin/tandem", "up", "--domain", "example.org"], remarks: ["# Mine."] });
    expect(unit).toMatch(/^# Mine\.\n\[Unit\]\n/);
    expect(unit).toContain("\nExecStart=/opt/tandem/bin/tandem up --domain example.org\n");
    expect(unit).toContain("\nType=notify\nNotifyAccess=all\nWatchdogSec=30\n");
  });

  it.runIf(hasSystemd)("is one that systemd takes", () => {
    const program = join(directory, "tandem");
    writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
    const file = join(directory, "tandem.service");
    for (const unit of [
      unitOf({ command: [program, "up", "--domain", "exämple 100%$"], remarks: ["#"] }),
      archiveUnit().replace("/opt/tandem/bin/tandem", program),
    ]) {
      writeFileSync(file, unit);
      expect(execFileSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })).toBe(
        "",
      );
    }
    writeFileSync(file, "[Service]\nType=wrong\n");
    expect(spawnSync("systemd-analyze", ["verify", "--man=no", file]).status).not.toBe(0);
  });
});
