import type { Request } from "sip";
import { ApiClient } from "../../../cli/api-client.ts";
import { isListOf, isTable } from "../../../cli/json.ts";
import { Membership } from "../../../cli/membership.ts";
import { StateDirectory } from "../../../cli/state-directory.ts";
import { accountOf } from "../../../kit/world/subscribers.ts";
import type { Done, Held, Task } from "../elsewhere.ts";
import { Dialog, OutgoingCall, sdpOf } from "./call.ts";
import { Phone } from "./phone.ts";

/** Phones on another machine, and who asks a cell there (elsewhere.ts): a process in a network namespace, which is told what to do by messages. */

/** `outgoing`: its last call to somebody; `invite`: the last to it. */
type Resident = { readonly phone: Phone; dialog?: Dialog; outgoing?: OutgoingCall; invite?: Request };

/** A busy machine takes so long; a phone gives up after 32 s. */
const slowMsMax = 30_000;

const residents = new Map<string, Resident>();

function residentOf(user: string): Resident {
  const resident = residents.get(user);
  if (resident === undefined) throw new Error(`there is no phone of ${user}`);
  return resident;
}

async function call(resident: Resident, uri: string): Promise<number> {
  const outgoing = new OutgoingCall(resident.phone, uri);
  resident.outgoing = outgoing;
  const { status } = await outgoing.final;
  if (status >= 300) return status;
  resident.dialog = await outgoing.untilAnswered();
  return status;
}

async function ring(resident: Resident): Promise<number> {
  const { phone } = resident;
  const invite = await phone.next("INVITE", undefined, slowMsMax);
  phone.answer(invite, 180, "Ringing");
  resident.invite = invite;
  resident.dialog = Dialog.ofRequest(phone, invite);
  return 180;
}

async function pickUp({ phone, invite, dialog }: Resident): Promise<number> {
  if (invite === undefined) return 0;
  phone.answer(invite, 200, "OK", sdpOf(phone));
  await phone.next("ACK", dialog?.callId, slowMsMax);
  return 200;
}

async function statusOf(task: Exclude<Task, { readonly act: "look" }>): Promise<number> {
  if (task.act === "open") {
    residents.set(task.user, { phone: await Phone.open(task.way, accountOf(task.user)) });
    return 200;
  }
  const resident = residentOf(task.user);
  const { phone, dialog } = resident;
  switch (task.act) {
    case "register":
      return (await phone.register()).status;
    case "unregister":
      return (await phone.register(0)).status;
    case "call":
      return await call(resident, `sip:${task.other}@${phone.way.domain}`);
    case "hearRinging":
      await resident.outgoing?.untilProvisional(180, slowMsMax);
      return 180;
    case "ring":
      return await ring(resident);
    case "pickUp":
      return await pickUp(resident);
    case "bye":
      return (await dialog?.request("BYE"))?.status ?? 0;
    case "answerBye":
      phone.answer(await phone.next("BYE", dialog?.callId, slowMsMax), 200, "OK");
      return 200;
  }
}

/** What a cell of this machine holds, asked with its own key. */
async function look(directory: string, cell: string): Promise<Held> {
  const state = new StateDirectory(directory);
  const url = state.readRun()?.cells.find(({ id }) => id === cell)?.membersUrl ?? "";
  const api = new ApiClient([url], new Membership(state, cell).identity(), "cell");
  const summary = await api.get("/cell/summary");
  const exchanges = isTable(summary) ? summary["exchanges"] : undefined;
  if (!isListOf(exchanges, isTable)) throw new Error("this is no summary");
  return {
    pairs: exchanges.map(({ pair }) => String(pair)),
    digests: await Promise.all(exchanges.map(async ({ exchange }) => JSON.stringify(await api.get(`/cell/digest/${String(exchange)}`)))),
  };
}

process.on("message", ({ id, task }: { readonly id: number; readonly task: Task }) => {
  const since = performance.now();
  const done = async (): Promise<Done | Held> =>
    task.act === "look" ? await look(task.state, task.cell) : { status: await statusOf(task), ms: performance.now() - since };
  done().then(
    (result) => process.send?.({ id, result }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.("open");
