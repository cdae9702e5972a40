import { WebSocket } from "ws";

/*
 * Many softphones in a process of their own: node bench/softphones.ts DOMAIN COUNT AT_A_TIME URL... Connects them, round the URLs, and says
 * {"connected":N,"failed":N,"seconds":S}; then, for the line "register" on stdin, registers each one and says the same of
 * registrations. The connections stay until stdin ends.
 */

type Phone = { readonly index: number; readonly socket: WebSocket };
type Outcome = { readonly done: number; readonly failed: number; readonly seconds: number };

const answerMsMax = 60_000;

function connect(url: string): Promise<WebSocket> {
  return new Promise((opened, failed) => {
    const socket = new WebSocket(url, "sip", { perMessageDeflate: false, handshakeTimeout: answerMsMax });
    socket.once("open", () => opened(socket));
    socket.once("error", failed);
  });
}

function registerText(domain: string, index: number): string {
  const user = `soft${index}`;
  return [
    `REGISTER sip:${domain} SIP/2.0`,
    `Via: SIP/2.0/WS p${index}.invalid;branch=z9hG4bKs${index}`,
    "Max-Forwards: 70",
    `From: <sip:${user}@${domain}>;tag=s${index}`,
    `To: <sip:${user}@${domain}>`,
    `Call-ID: s${index}`,
    "CSeq: 1 REGISTER",
    `Contact: <sip:${user}@p${index}.invalid;transport=ws>`,
    "Expires: 3600",
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
}

function register(domain: string, { index, socket }: Phone): Promise<void> {
  return new Promise((accepted, failed) => {
    const end = (error?: Error): void => {
      clearTimeout(late);
      socket.off("message", answer);
      socket.off("close", closed);
      if (error === undefined) accepted();
      else failed(error);
    };
    const answer = (data: unknown): void => {
      const status = /^SIP\/2\.0 ([2-6]\d\d)/.exec(String(data))?.[1];
      if (status !== undefined) end(status === "200" ? undefined : new Error(`REGISTER got ${status}`));
    };
    const closed = (): void => end(new Error("the connection was closed"));
    const late = setTimeout(() => end(new Error("no answer")), answerMsMax);
    socket.on("message", answer);
    socket.once("close", closed);
    socket.send(registerText(domain, index));
  });
}

/** Does something for each item, some at a time. */
async function forAll<T>(items: readonly T[], atATime: number, act: (item: T) => Promise<void>): Promise<Outcome> {
  const start = performance.now();
  const queue = items.values();
  let [done, failed] = [0, 0];
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      try {
        await act(item);
        done += 1;
      } catch (error) {
        failed += 1;
        if (failed === 1) process.stderr.write(`${String(error)}\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return { done, failed, seconds: (performance.now() - start) / 1000 };
}

function say(outcome: Outcome): void {
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}

const [domain = "", count = "0", atATime = "1", ...urls] = process.argv.slice(2);
const phones: Phone[] = [];
const indexes = Array.from({ length: Number(count) }, (_, index) => index);
say(
  await forAll(indexes, Number(atATime), async (index) => {
    phones.push({ index, socket: await connect(urls[index % urls.length] ?? "") });
  }),
);
process.stdin.setEncoding("utf8").once("data", () => {
  void forAll(phones, Number(atATime), async (phone) => await register(domain, phone)).then(say);
});
process.stdin.once("end", () => process.exit(0));
