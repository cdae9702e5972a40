import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { checkInstall, install, madeBy, type InstallPorts } from "../../../cli/service/install.ts";
import { runCommand } from "../captured-io.ts";

let path: string;
let ran: string[];
const ports: InstallPorts = { isRoot: true, isManaged: true, run: (program, words) => void ran.push([program, ...words].join(" ")) };
const unit = `${madeBy}\n[Unit]\n`;

beforeEach(() => {
  const directory = mkdtempSync(join(tmpdir(), "tandem-install-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  path = join(directory, "system", "tandem.service");
  ran = [];
});

describe("a service that is installed", () => {
  it("is written, read and started; once more changes nothing", () => {
    expect(install(path, unit, ports)).toBe("new");
    expect(readFileSync(path, "utf8")).toBe(unit);
    expect(ran).toEqual(["systemctl daemon-reload", "systemctl enable tandem.service", "systemctl start tandem.service"]);
    expect(install(path, unit, ports)).toBe("same");
    expect(install(path, `${unit}# more\n`, ports)).toBe("changed");
  });

  it("takes nobody else's place", () => {
    expect(install(path, unit, ports)).toBe("new");
    writeFileSync(path, "[Unit]\n");
    ran = [];
    expect(() => install(path, unit, ports)).toThrow(`${path} is somebody else's: move it away first`);
    expect([readFileSync(path, "utf8"), ran]).toEqual(["[Unit]\n", []]);
  });

  it("says what systemd does not take", () => {
    const failing = { ...ports, run: () => expect.unreachable() } satisfies InstallPorts;
    const refused: InstallPorts = {
      ...failing,
      run: () => {
        throw new Error("Unit is masked.");
      },
    };
    expect(() => install(path, unit, refused)).toThrow("systemctl daemon-reload: Unit is masked.; journalctl -u tandem has more");
  });

  it.each([
    [{ isManaged: false }, [], "systemd does not run this machine: tandem install-service --print shows the unit"],
    [{ isRoot: false }, [], "a service is installed by root: type it with sudo, or --print shows the unit"],
    [{}, ["/home/me/tandem/bin/tandem"], "a service may not read /home/me/tandem/bin/tandem: make an archive"],
  ])("is refused before anything is written: %j %j", (differing, programs, reason) => {
    expect(() => checkInstall(programs, { ...ports, ...differing })).toThrow(reason);
    expect(existsSync(path)).toBe(false);
  });
});

describe("tandem install-service", () => {
  it("--print shows the unit with the options that were typed", async () => {
    const words = "--sip 192.0.2.10 --sip 192.0.2.11:5070 --domain example.org --tls-key /etc/key.pem".split(" ");
    const { code, out } = await runCommand(["install-service", "--print", ...words, "--tls-cert", "/etc/my cert.pem"]);
    expect(code).toBe(0);
    expect(out).toMatch(
      / up --state \/var\/lib\/tandem --sip 192\.0\.2\.10 --sip 192\.0\.2\.11:5070 --domain example\.org --tls-key \/etc\/key\.pem --tls-cert "\/etc\/my cert\.pem"\n/,
    );
  });

  it("refuses what tandem up would refuse", async () => {
    expect(await runCommand(["install-service", "--print", "--cells", "none"])).toMatchObject({ code: 2, out: "" });
    expect((await runCommand(["install-service", "--print", "--state", "x"])).err).toMatch(/unknown option --state/);
  });

  it("takes no line of somebody else's into the unit", async () => {
    const words = ["install-service", "--print", "--tls-key", "/etc/k", "--tls-cert", "/etc/a\nUser=root"];
    expect(await runCommand(words)).toMatchObject({ code: 2, out: "", err: expect.stringContaining("has no place in a unit") });
  });
});
