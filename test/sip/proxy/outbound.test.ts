import { describe, expect, it } from "vitest";
import { caller, phone1, phone2, phone3, phoneTcp, request, Rig, target } from "./rig.ts";

/** Flows of one instance: `group` is what the registrar calls it. */
const first = target(phoneTcp, { group: "instance" });
const second = target(phone1, { group: "instance" });
const third = target(phone2, { group: "instance" });

function calling(targets: Rig["targets"], method = "INVITE"): Rig {
  const rig = new Rig();
  rig.targets = targets;
  rig.receive(request(method), caller);
  return rig;
}

describe("[RFC5626 7] several flows to one instance", () => {
  it("[RFC5626 7] one at a time", () => {
    expect(calling([first, second, target(phone3)]).take()).toEqual(["caller 100", "phoneTcp INVITE", "phone3 INVITE"]);
  });

  it("[RFC5626 7] another flow after a flow failure, at once, while other instances ring", () => {
    const rig = calling([first, second, third, target(phone3)]);
    rig.answer(phone3, 180);
    const sent = rig.last(phoneTcp);
    rig.take();
    rig.layer.undeliverable(sent.message, phoneTcp, rig.now);
    expect(rig.flowsFailed).toEqual([phoneTcp]);
    expect(rig.take()).toEqual(["phone1 INVITE"]);
  });

  it("[RFC5626 7] and after 430 and 408", () => {
    const rig = calling([first, second, third]);
    rig.answer(phoneTcp, 430);
    expect(rig.flowsFailed).toEqual([phoneTcp]);
    rig.answer(phone1, 408);
    expect(rig.flowsFailed).toEqual([phoneTcp]);
    rig.answer(phone2, 200);
    expect(rig.log().filter((line) => !line.endsWith("ACK"))).toEqual([
      "caller 100",
      "phoneTcp INVITE",
      "phone1 INVITE",
      "phone2 INVITE",
      "caller 200",
    ]);
  });

  it("[RFC5626 7] not after any other final response: the instance has answered", () => {
    const rig = calling([first, second]);
    rig.answer(phoneTcp, 486);
    expect(rig.take()).toEqual(["caller 100", "phoneTcp INVITE", "phoneTcp ACK", "caller 486"]);
  });

  it("[RFC5626 11.5] 430 does not reach the caller: 480 when no flow is left", () => {
    const rig = calling([first]);
    rig.undeliverable(phoneTcp);
    expect(rig.take().at(-1)).toBe("caller 480");
    const by430 = calling([first]);
    by430.answer(phoneTcp, 430);
    expect(by430.take().at(-1)).toBe("caller 480");
  });

  it("[RFC5626 5.3.1] a non-INVITE over a flow that is gone gets 480 too", () => {
    const rig = calling([first], "MESSAGE");
    rig.undeliverable(phoneTcp, "MESSAGE");
    expect(rig.take()).toEqual(["phoneTcp MESSAGE", "caller 480"]);
  });

  it("[RFC5626 7] no other flow after CANCEL", () => {
    const rig = calling([first, second]);
    rig.receive(request("CANCEL"), caller);
    rig.undeliverable(phoneTcp);
    expect(rig.take()).toEqual(["caller 100", "phoneTcp INVITE", "caller 200", "caller 487"]);
  });

  it("[RFC5626 7] flows of lower q are for failures as well", () => {
    const rig = calling([first, target(phone1, { group: "instance", q: 0.1 }), target(phone2, { q: 0.5 })]);
    expect(rig.log()).toEqual(["caller 100", "phoneTcp INVITE"]);
    rig.answer(phoneTcp, 430);
    rig.answer(phone1, 408);
    expect(rig.log().filter((line) => line.endsWith("INVITE"))).toEqual(["phoneTcp INVITE", "phone1 INVITE", "phone2 INVITE"]);
  });
});
