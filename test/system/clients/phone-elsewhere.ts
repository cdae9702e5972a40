import { accountOf } from "../../../kit/world/subscribers.ts";
import { Dialog, OutgoingCall, sdpOf } from "./call.ts";
import { Phone } from "./phone.ts";

/**
 * A phone in a process of its own, for a network namespace: `phone-elsewhere.ts USER HOST PORT DOMAIN`. It is told what to do by messages, and answers each with the
 * status of what came of it, or with an error.
 */
const [user = "", host = "", port = "", domain = ""] = process.argv.slice(2);
const phone = await Phone.open({ transport: "UDP", host, port: Number(port), ca: "", domain }, accountOf(user));
let dialog: Dialog | undefined;

const acts: Readonly<Record<string, (other: string) => Promise<number>>> = {
  register: async () => (await phone.register()).status,
  unregister: async () => (await phone.register(0)).status,
  call: async (other) => {
    const outgoing = new OutgoingCall(phone, `sip:${other}@${domain}`);
    const refused = outgoing.final.then(({ status }) => (status >= 300 ? status : new Promise<number>(() => undefined)));
    const answered = outgoing.untilAnswered().then((answer) => {
      dialog = answer;
      return 200;
    });
    return await Promise.race([refused, answered]);
  },
  answer: async () => {
    const invite = await phone.next("INVITE");
    phone.answer(invite, 180, "Ringing");
    dialog = Dialog.ofRequest(phone, invite);
    phone.answer(invite, 200, "OK", sdpOf(phone));
    await phone.next("ACK", dialog.callId);
    return 200;
  },
  bye: async () => (await dialog?.request("BYE"))?.status ?? 0,
  answerBye: async () => {
    phone.answer(await phone.next("BYE", dialog?.callId), 200, "OK");
    return 200;
  },
};

process.on("message", (message: { readonly act: string; readonly other: string }) => {
  const act = acts[message.act] ?? (() => Promise.reject(new Error(`no act ${message.act}`)));
  act(message.other).then(
    (status) => process.send?.({ act: message.act, status }),
    (error: unknown) => process.send?.({ act: message.act, error: String(error) }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.({ act: "open", status: 200 });
