import { describe, expect, it } from "vitest";
import { presentFlow, type Phone, type PhoneFlow } from "../../../sip/dialog/present-flow.ts";

const contact = "sip:x7@7d.invalid;transport=ws";
const gone: Phone = { contact: `${contact};ob`, instanceId: "", flow: "a.0~w0.k1.c0000201", heardAt: 10 };
const back: PhoneFlow = { contact, instanceId: "urn:uuid:1", flow: "b.1~w0.k2.c0000201", registeredAt: 20 };

function found(phone: Phone, flows: readonly PhoneFlow[]): string | undefined {
  return presentFlow(phone, flows, (flow) => flow !== gone.flow);
}

describe("where a phone is now", () => {
  it("is known by the Contact of its dialog, with or without ob [RFC5626 5.4]", () => {
    expect(found(gone, [back])).toBe(back.flow);
    expect(found({ ...gone, contact }, [{ ...back, contact: `${contact};ob` }])).toBe(back.flow);
    expect(found({ ...gone, contact: "sip:x7@7d.invalid;ob;transport=ws" }, [{ ...back, contact: "sip:x7@7d.invalid;transport=ws" }])).toBe(
      back.flow,
    );
    expect(found(gone, [{ ...back, contact: "sip:x7@7d.invalid;object=1;transport=ws" }])).toBeUndefined();
  });

  it("is that of its instance, where it has named that in the dialog, whatever the Contact is", () => {
    const named = { ...gone, contact: "sip:x7@another.invalid", instanceId: "urn:uuid:1" };
    expect(found(named, [back])).toBe(back.flow);
    expect(found({ ...named, instanceId: "urn:uuid:2" }, [back])).toBeUndefined();
  });

  it("is the flow that it had, as long as that can be used", () => {
    expect(presentFlow(gone, [], () => true)).toBe(gone.flow);
  });

  it.each([
    [-1, back.flow],
    [0, back.flow],
    [1, gone.flow],
  ])("is that of its binding, unless it was heard on its own flow later: by %s ms", (laterMs, flow) => {
    expect(presentFlow({ ...gone, heardAt: back.registeredAt + laterMs }, [back], () => true)).toBe(flow);
  });
});
