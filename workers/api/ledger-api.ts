import { Hono } from "hono";
import { isCopying, isReading } from "../../cluster/calls/messages.ts";
import { ledgerObject } from "../environment.ts";
import { isAskedOfLedger } from "../ledger/question.ts";
import { ledgerBodyOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { jsonOf } from "./json-body.ts";

/** `/cell/ledger/`: what the ledgers of other cells say to this one's, signed by a cell. To say it twice is the same. */
export const ledgerApi = new Hono<Signed>();

ledgerApi.use(
  signed(
    () => "cell",
    ledgerBodyOctetsMax,
    () => "isolate",
  ),
);

/** Records of an exchange that the ledger of its cell passes on. */
ledgerApi.post("/take", async (context) => {
  const text = new TextDecoder().decode(context.var.body);
  return context.json(await ledgerObject(context.env).take(text));
});

ledgerApi.post("/copy", async (context) => {
  const message = jsonOf(context.var.body);
  if (!isCopying(message)) return context.json({ error: "no records for a copy" }, 400);
  return context.json(await ledgerObject(context.env).copied(message));
});

ledgerApi.post("/read", async (context) => {
  const message = jsonOf(context.var.body);
  if (!isReading(message)) return context.json({ error: "no question to a ledger" }, 400);
  const answer: Promise<unknown> = ledgerObject(context.env).readBy(message);
  return context.json(await answer);
});

/** What somebody asks who has asked another cell. */
ledgerApi.post("/list", async (context) => {
  const asked = jsonOf(context.var.body);
  if (!isAskedOfLedger(asked)) return context.json({ error: "no question for calls" }, 400);
  return context.json(await ledgerObject(context.env).list(asked));
});
