import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { type Browser, type Page, chromium } from "playwright-core";
import { type Account, type Phone, RegistrationRefused, addressOfRecord } from "./phone.ts";

/** One Chromium and the web server of its pages; every phone is a page of its own, in a context of its own. */
export interface BrowserHost {
  /** A page with JsSIP. `webSocketUrls` are addresses of SIP over WebSocket, as `ws://127.0.0.1:8801/`: the first one, and where to go from there. */
  openPhone(account: Account, ...webSocketUrls: readonly string[]): Promise<BrowserPhone>;
  stop(): Promise<void>;
}

/** The state of ICE and the audio packets so far. */
interface MediaStatistics {
  readonly iceState: string;
  readonly packetsReceived: number;
  readonly packetsSent: number;
}

/** A phone in a page, which knows more of its media than others. */
export interface BrowserPhone extends Phone {
  /** State of ICE and the audio packets of the present call, both ways. */
  mediaStatistics(): Promise<MediaStatistics>;
}

/** Starts Debian's Chromium without a display, with a made-up microphone. */
export async function startChromium(): Promise<BrowserHost> {
  const [server, browser] = await Promise.all([
    servePage(),
    chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        "--autoplay-policy=no-user-gesture-required",
        // Only where there is nothing else: with several candidate pairs Chromium and baresip may settle on different ones.
        ...(hasNetwork() ? [] : ["--allow-loopback-in-peer-connection"]),
      ],
    }),
  ]);
  const { port } = server.address() as AddressInfo;
  return {
    openPhone: async (account, ...urls) => await openPhone(browser, `http://localhost:${port}/`, account, urls),
    stop: async () => {
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

function hasNetwork(): boolean {
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ internal }) => !internal));
}

async function servePage(): Promise<Server> {
  // JsSIP's package has its modules only: the page gets one script made of them and of the page's own.
  const bundle = await build({
    entryPoints: [join(import.meta.dirname, "..", "page", "softphone.js")],
    bundle: true,
    format: "iife",
    platform: "browser",
    write: false,
  });
  const script = bundle.outputFiles[0]?.text ?? "";
  const server = createServer((request, response) => {
    if (request.url === "/softphone.js") response.setHeader("content-type", "text/javascript").end(script);
    else response.setHeader("content-type", "text/html").end('<!doctype html><title>phone</title><script src="/softphone.js"></script>');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function openPhone(browser: Browser, pageUrl: string, account: Account, webSocketUrls: readonly string[]): Promise<BrowserPhone> {
  const context = await browser.newContext({ permissions: ["microphone"] });
  const page = await context.newPage();
  await page.goto(pageUrl);
  await page.evaluate(
    ([urls, uri, password]) => {
      globalThis.phone.start(urls, uri, password);
    },
    [webSocketUrls, addressOfRecord(account), account.password] as const,
  );
  return new JsSipPage(account, page);
}

/** What test/interop/page/softphone.js offers to the tests. */
interface Softphone {
  start(urls: readonly string[], uri: string, password: string): void;
  register(): void;
  call(uri: string): void;
  answer(): void;
  hangup(): void;
  stop(): void;
  state: {
    media: MediaStatistics;
    registration: string;
    status: number;
    from: string;
    ringback: boolean;
    ringing: boolean;
    accepted: boolean;
    confirmed: boolean;
    ended: string;
  };
  log: string[];
}

declare global {
  var phone: Softphone;
}

class JsSipPage implements BrowserPhone {
  readonly make = "JsSIP in Chromium";
  readonly sendsMedia = true;
  readonly account: Account;
  readonly #page: Page;

  constructor(account: Account, page: Page) {
    this.account = account;
    this.#page = page;
  }

  async register(): Promise<void> {
    await this.#page.evaluate(() => globalThis.phone.register());
    await this.#until("registers", () => globalThis.phone.state.registration !== "");
    const state = await this.#page.evaluate(() => globalThis.phone.state);
    if (state.registration !== "registered") throw new RegistrationRefused(state.status, `${state.status} ${state.registration}`);
  }

  async call(uri: string): Promise<void> {
    await this.#page.evaluate((target) => globalThis.phone.call(target), uri);
  }

  async ringback(): Promise<void> {
    await this.#during("hears ringing", () => globalThis.phone.state.ringback || globalThis.phone.state.accepted);
  }

  async ringing(): Promise<string> {
    await this.#during("rings", () => globalThis.phone.state.ringing);
    return await this.#page.evaluate(() => globalThis.phone.state.from);
  }

  async answer(): Promise<void> {
    await this.#page.evaluate(() => globalThis.phone.answer());
  }

  async established(): Promise<void> {
    await this.#during("has the call set up", () => globalThis.phone.state.confirmed);
  }

  async media(): Promise<void> {
    await this.#during("receives media", () => {
      const { iceState, packetsReceived } = globalThis.phone.state.media;
      return (iceState === "connected" || iceState === "completed") && packetsReceived > 10;
    });
  }

  async mediaStatistics(): Promise<MediaStatistics> {
    return await this.#page.evaluate(() => globalThis.phone.state.media);
  }

  async hangup(): Promise<void> {
    await this.#page.evaluate(() => globalThis.phone.hangup());
  }

  async ended(): Promise<string> {
    await this.#until("sees the call end", () => globalThis.phone.state.ended !== "", 35_000);
    return await this.#page.evaluate(() => globalThis.phone.state.ended);
  }

  async stop(): Promise<void> {
    await this.#page.context().close();
  }

  async #during(what: string, condition: () => boolean): Promise<void> {
    const name = this.account.user;
    // The condition runs in the page: it comes as source text, next to the one that says the call is over.
    await this.#until(what, `(${condition.toString()})() || globalThis.phone.state.ended !== ""`);
    const reached = await this.#page.evaluate(`(${condition.toString()})()`);
    if (reached !== true) throw new Error(`page(${name}) ${what}: the call ended\n${await this.#tail()}`);
  }

  async #until(what: string, condition: string | (() => unknown), withinMs = 15_000): Promise<void> {
    try {
      await this.#page.waitForFunction(condition, undefined, { timeout: withinMs, polling: 50 });
    } catch (error) {
      throw new Error(`page(${this.account.user}) ${what}: ${String(error).split("\n")[0]}\n${await this.#tail()}`, { cause: error });
    }
  }

  async #tail(): Promise<string> {
    return await this.#page.evaluate(() => globalThis.phone.log.slice(-30).join("\n"));
  }
}
