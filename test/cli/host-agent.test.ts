import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { ApiClient } from "../../cli/api-client.ts";
import { HostAgent } from "../../cli/host-agent.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { reportSchema } from "../../schemas/hosts.ts";
import { read } from "../../schemas/reading.ts";
import { until } from "../../kit/world/until.ts";

const servers: Server[] = [];
const directory = mkdtempSync(join(tmpdir(), "tandem-agent-"));

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(directory, { recursive: true, force: true });
});

/** A cell that keeps what hosts report. `isFrozen`: it never answers. */
async function cellThatHears(isFrozen = false): Promise<{ readonly api: ApiClient; readonly heard: unknown[] }> {
  const heard: unknown[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => void (text += String(chunk)));
    request.on("end", () => {
      if (request.url === "/host/report") heard.push(JSON.parse(text));
      if (isFrozen && request.url === "/host/report") return;
      response.writeHead(200, { "tandem-cell": "a", [versionHeader]: String(protocolVersion) }).end('{"orders":[],"asked":[]}');
    });
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { api: new ApiClient([`http://127.0.0.1:${port}`], "secret", "host"), heard };
}

it("tells a cell of another machine as well what runs here, and waits for that one in nothing", async () => {
  const [own, frozen] = [await cellThatHears(), await cellThatHears(true)];
  const agent = new HostAgent({
    supervisor: { processes: [], stopOne: () => Promise.resolve(), startOne: () => Promise.resolve() },
    api: () => own.api,
    elsewhere: () => [frozen.api],
    reload: () => Promise.resolve(""),
    host: "h1",
    version: "1",
    state: new StateDirectory(directory),
    reporter: {
      step: () => undefined,
      event: () => undefined,
      line: () => undefined,
      text: () => undefined,
      ready: () => undefined,
      failed: () => undefined,
    },
  });
  agent.start();
  try {
    await until(() => frozen.heard.length === 1 && own.heard.length >= 2, 60_000);
    expect(read(reportSchema, frozen.heard[0]).value).toMatchObject({ host: "h1", version: "1", outcomes: [] });
  } finally {
    agent.stop();
  }
});
