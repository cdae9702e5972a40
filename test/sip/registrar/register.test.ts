import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  callIdOctetsMax,
  contactOctetsMax,
  contactParametersOctetsMax,
  contactsPerAddressOfRecordMax,
  instanceIdOctetsMax,
  pathOctetsMax,
  pathValuesMax,
  userAgentOctetsMax,
} from "../../../sip/limits.ts";
import { unsupportedExtensions } from "../../../sip/registrar/register.ts";
import { flowOf, headersOf, message, registerMessage, TestRegistrar } from "./registering.ts";

const desk = "<sip:bob@192.0.2.4>";
const mobile = "<sip:bob@198.51.100.7:5070>";

/** One whose URI has so many octets. */
function pushContact(octets: number): string {
  return `<${"sip:bob@192.0.2.4;pn-provider=fcm;pn-param=project;pn-prid=".padEnd(octets, "k")}>`;
}

describe("adding and refreshing bindings", () => {
  it("[RFC3261 10.3 8] lists all current bindings with expires, and says the date", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [`${desk};q=0.7;expires=300`] });
    registrar.now += 100_000;
    const result = registrar.register({ contacts: [mobile], callId: "boot-2", headers: ["Expires: 120"] });
    expect(result.status).toBe(200);
    expect(headersOf(result, "Contact")).toEqual(["<sip:bob@192.0.2.4>;q=0.7;expires=200", "<sip:bob@198.51.100.7:5070>;expires=120"]);
    expect(headersOf(result, "Date")).toEqual(["Tue, 14 Nov 2023 22:15:00 GMT"]);
  });

  it("[RFC3261 10.3 7] takes the expires parameter before the Expires header, and the default when there is neither", () => {
    const registrar = new TestRegistrar();
    const both = registrar.register({ contacts: [`${desk};expires=90`, mobile], headers: ["Expires: 200"] });
    expect(headersOf(both, "Contact")).toEqual(["<sip:bob@192.0.2.4>;expires=90", "<sip:bob@198.51.100.7:5070>;expires=200"]);
    const neither = registrar.register({ contacts: ["<sip:bob@203.0.113.1>"], cSeq: 2 });
    expect(headersOf(neither, "Contact")).toContain("<sip:bob@203.0.113.1>;expires=600");
  });

  it("[RFC3261 10.2] treats a malformed expiration as an hour, and a huge one as the longest we grant", () => {
    const registrar = new TestRegistrar();
    const result = registrar.register({ contacts: [`${desk};expires=soon`, `${mobile};expires=99999999999`] });
    expect(headersOf(result, "Contact")).toEqual(["<sip:bob@192.0.2.4>;expires=3600", "<sip:bob@198.51.100.7:5070>;expires=3600"]);
  });

  it("[RFC3261 10.3 7] refuses a brief interval with 423 and Min-Expires, and changes nothing", () => {
    const registrar = new TestRegistrar();
    const result = registrar.register({ contacts: [`${mobile};expires=600`, `${desk};expires=59`] });
    expect([result.status, headersOf(result, "Min-Expires"), registrar.contacts]).toEqual([423, ["60"], []]);
    expect(registrar.register({ contacts: [`${desk};expires=60`], cSeq: 2 }).status).toBe(200);
  });

  it("[RFC3261 19.1.4] refreshes the binding of an equivalent contact, which keeps its new spelling", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<sip:%62ob@Phone.Example.test;Line=1>"] });
    const result = registrar.register({ contacts: ["<sip:bob@phone.example.TEST;line=1;x=y>"], cSeq: 2 });
    expect(headersOf(result, "Contact")).toEqual(["<sip:bob@phone.example.TEST;line=1;x=y>;expires=600"]);
    expect(registrar.bindings).toHaveLength(1);
  });

  it("[RFC3261 19.1.4] keeps contacts apart that differ in port, user case or transport", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<sip:bob@h.test>", "<sip:bob@h.test:5060>", "<sip:Bob@h.test>", "<sip:bob@h.test;transport=tcp>"] });
    expect(registrar.bindings).toHaveLength(4);
  });

  it("[RFC3261 10.2.1] registers other schemes too", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<tel:+15551234>", "<mailto:bob@example.test>"] });
    expect(registrar.contacts).toEqual(["tel:+15551234", "mailto:bob@example.test"]);
  });

  it("keeps flow, transport, source, User-Agent and the contact's parameters", () => {
    const registrar = new TestRegistrar();
    const contact = `<sip:bob@192.0.2.4>;+sip.instance="<urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6>";audio;expires=60`;
    const result = registrar.register({ contacts: [contact], headers: ["User-Agent: desk/1.0"] });
    expect(registrar.bindings).toEqual([
      {
        addressOfRecord: "bob@example.test",
        contact: "sip:bob@192.0.2.4",
        parameters: ';+sip.instance="<urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6>";audio',
        q: undefined,
        callId: "boot-1",
        cSeq: 1,
        registeredAt: registrar.now,
        expiresAt: registrar.now + 60_000,
        instanceId: "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        regId: 0,
        flow: flowOf("UDP"),
        transport: "UDP",
        received: "192.0.2.4:5060",
        userAgent: "desk/1.0",
        path: [],
      },
    ]);
    expect(headersOf(result, "Contact")[0]).toContain('+sip.instance="<urn:uuid:F81D4FAE');
  });

  it("shortens granted expirations by the jitter, not below the minimum", () => {
    const registrar = new TestRegistrar();
    const result = registrar.register({ contacts: [`${desk};expires=1000`, `${mobile};expires=61`], jitter: 0.1 });
    expect(headersOf(result, "Contact")).toEqual(["<sip:bob@192.0.2.4>;expires=900", "<sip:bob@198.51.100.7:5070>;expires=60"]);
  });

  it("says q as it came, and refuses one that is none", () => {
    const registrar = new TestRegistrar();
    expect(headersOf(registrar.register({ contacts: [`${desk};q=0.05`] }), "Contact")).toEqual(["<sip:bob@192.0.2.4>;q=0.05;expires=600"]);
    for (const q of ["1.1", "2", "-1", "0.1234", "", "x"]) {
      expect(registrar.register({ contacts: [`${desk};q=${q}`], cSeq: 2 }).status).toBe(400);
    }
  });
});

describe("fetching and removing bindings", () => {
  it("[RFC3261 10.2.3] lists the bindings of a REGISTER without contacts, expired ones left out, and changes nothing", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [`${desk};expires=60`, `${mobile};expires=120`] });
    registrar.now += 60_000;
    const result = registrar.register({ callId: "other", cSeq: 1 });
    expect([headersOf(result, "Contact"), result.changes]).toEqual([["<sip:bob@198.51.100.7:5070>;expires=60"], []]);
  });

  it("[RFC3261 10.2.2] removes a contact with expires=0 and keeps the others", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [desk, mobile] });
    const result = registrar.register({ contacts: [`${desk};expires=0`], cSeq: 2 });
    expect(headersOf(result, "Contact")).toEqual(["<sip:bob@198.51.100.7:5070>;expires=600"]);
  });

  it("[RFC3261 10.3 6] removes all with * and Expires: 0, whatever the Call-ID", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [desk, mobile] });
    const result = registrar.register({ contacts: ["*"], callId: "other", headers: ["Expires: 0"] });
    expect([result.status, headersOf(result, "Contact"), registrar.contacts]).toEqual([200, [], []]);
  });

  it.each([
    ["without Expires", ["*"], []],
    ["with another expiration", ["*"], ["Expires: 60"]],
    ["beside another contact", ["*", desk], ["Expires: 0"]],
    ["twice", ["*", "*"], ["Expires: 0"]],
  ])("[RFC3261 10.3 6] refuses * %s with 400", (_, contacts, headers) => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [desk] });
    expect([registrar.register({ contacts, headers, cSeq: 2 }).status, registrar.contacts]).toEqual([400, ["sip:bob@192.0.2.4"]]);
  });

  it("[RFC3261 10.3 6] fails * whose CSeq is not higher for its Call-ID, and removes nothing", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [mobile], callId: "other" });
    registrar.register({ contacts: [desk], cSeq: 5 });
    expect([registrar.register({ contacts: ["*"], cSeq: 5, headers: ["Expires: 0"] }).status, registrar.bindings.length]).toEqual([500, 2]);
  });
});

describe("order and atomicity", () => {
  it("[RFC3261 10.3 7] fails a lower CSeq of the same Call-ID with 500", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [desk], cSeq: 5 });
    const late = registrar.register({ contacts: [`${desk};expires=0`], cSeq: 4 });
    expect([late.status, late.changes, registrar.contacts]).toEqual([500, [], ["sip:bob@192.0.2.4"]]);
  });

  it("[RFC3261 10.3 7] takes any CSeq of another Call-ID", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [desk], cSeq: 500 });
    expect(registrar.register({ contacts: [`${desk};expires=0`], callId: "boot-2", cSeq: 1 }).status).toBe(200);
    expect(registrar.contacts).toEqual([]);
  });

  it("[RFC3261 10.3] does not bring back what a later request has removed, here or at the other replica", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [desk], cSeq: 1 });
    registrar.register({ contacts: [`${desk};expires=0`], cSeq: 3 });
    expect([registrar.register({ contacts: [desk], cSeq: 2 }).status, registrar.contacts]).toEqual([500, []]);
    // The other replica has never heard of the phone when it unregisters there, and the older REGISTER comes late.
    const other = new TestRegistrar();
    other.register({ contacts: [`${desk};expires=0`], cSeq: 3 });
    expect([other.register({ contacts: [desk], cSeq: 2 }).status, other.contacts]).toEqual([500, []]);
  });

  it("answers a repeat, which has the same CSeq, without changing anything", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [desk], cSeq: 7 });
    registrar.now += 10_000;
    const repeat = registrar.register({ contacts: [desk], cSeq: 7, flow: flowOf("UDP", "203.0.113.9") });
    expect([repeat.status, repeat.changes, headersOf(repeat, "Contact")]).toEqual([200, [], ["<sip:bob@192.0.2.4>;expires=590"]]);
    registrar.register({ contacts: [`${desk};expires=0`], cSeq: 8 });
    const removal = registrar.register({ contacts: [`${desk};expires=0`], cSeq: 8 });
    expect([removal.status, removal.changes]).toEqual([200, []]);
  });

  it("fails what has the same CSeq and is no repeat", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [desk], cSeq: 7 });
    expect(registrar.register({ contacts: [`${desk};expires=0`], cSeq: 7 }).status).toBe(500);
    registrar.register({ contacts: [`${desk};expires=0`], cSeq: 8 });
    expect(registrar.register({ contacts: [desk], cSeq: 8 }).status).toBe(500);
  });

  it("[RFC3261 10.3 7] changes nothing when one of several contacts fails", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [mobile], cSeq: 9 });
    const result = registrar.register({ contacts: [desk, `${mobile};expires=0`], cSeq: 8 });
    expect([result.status, result.changes, registrar.contacts]).toEqual([500, [], ["sip:bob@198.51.100.7:5070"]]);
  });

  it("takes the last one when a request names a contact twice", () => {
    const registrar = new TestRegistrar();
    const result = registrar.register({ contacts: [`${desk};expires=60`, `${desk};expires=90`] });
    expect(headersOf(result, "Contact")).toEqual(["<sip:bob@192.0.2.4>;expires=90"]);
    registrar.register({ contacts: [mobile, `${mobile};expires=0`], cSeq: 2 });
    expect(registrar.contacts).toEqual(["sip:bob@192.0.2.4"]);
  });

  it("gives the same bindings whatever the order of arrival, as far as one phone's requests can say", () => {
    const request = fc.record({ contact: fc.constantFrom(desk, mobile), isRemoval: fc.boolean() });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 8 }), fc.func(fc.nat()), (requests, rank) => {
        const drafts = requests.map(({ contact, isRemoval }, n) => ({
          contacts: [isRemoval ? `${contact};expires=0` : contact],
          cSeq: n + 1,
        }));
        const ordered = new TestRegistrar();
        for (const draft of drafts) ordered.register(draft);
        const shuffled = new TestRegistrar();
        for (const draft of drafts.toSorted((first, second) => rank(first.cSeq) - rank(second.cSeq))) shuffled.register(draft);
        expect(shuffled.contacts.toSorted()).toEqual(ordered.contacts.toSorted());
      }),
    );
  });
});

describe("extensions", () => {
  it("[RFC3261 10.3 2] refuses a required extension that we do not know with 420 and Unsupported", () => {
    const registrar = new TestRegistrar();
    const headers = ["Require: path, gruu", "Require: Nothing-Like-It", "Supported: path"];
    const result = registrar.register({ contacts: [desk], headers });
    expect([result.status, headersOf(result, "Unsupported")]).toEqual([420, ["gruu, nothing-like-it"]]);
    expect(unsupportedExtensions(registerMessage({ headers }))).toEqual(["gruu", "nothing-like-it"]);
  });

  it("[RFC3327 5.3] stores the path in order and copies it into the 200", () => {
    const registrar = new TestRegistrar();
    const path = ["<sip:p3.example.test;lr>", "<sip:p1.visited.test;lr>"];
    const vias = ["SIP/2.0/UDP p3.example.test;branch=z9hG4bK2", "SIP/2.0/UDP 192.0.2.4;branch=z9hG4bK1"];
    const result = registrar.register({ contacts: [desk], headers: [`Path: ${path.join(",")}`, "Supported: path"], vias });
    expect(headersOf(result, "Path")).toEqual([path.join(", ")]);
    expect(registrar.bindings[0]?.path).toEqual(path);
    expect(registrar.targets()).toMatchObject([{ requestUri: "sip:bob@192.0.2.4", routes: path }]);
    expect(registrar.targets()[0]?.flow).toBeUndefined();
  });

  it("[RFC3327 5.3] refuses a path that the phone does not know of with 420", () => {
    const registrar = new TestRegistrar();
    const result = registrar.register({ contacts: [desk], headers: ["Path: <sip:p1.visited.test;lr>"] });
    expect([result.status, headersOf(result, "Unsupported")]).toEqual([420, ["path"]]);
  });
});

describe("limits", () => {
  it("refuses more contacts than an address-of-record may have with 403, and changes nothing", () => {
    const registrar = new TestRegistrar();
    const contacts = Array.from({ length: contactsPerAddressOfRecordMax }, (_, n) => `<sip:bob@192.0.2.${n}>`);
    expect(registrar.register({ contacts }).status).toBe(200);
    expect(registrar.register({ contacts: [mobile], callId: "other" }).status).toBe(403);
    expect(registrar.bindings).toHaveLength(contactsPerAddressOfRecordMax);
    // A full one can still refresh, swap and remove.
    expect(registrar.register({ contacts: [contacts[0] ?? ""], cSeq: 2 }).status).toBe(200);
    expect(registrar.register({ contacts: [`${contacts[0]};expires=0`, mobile], cSeq: 3 }).status).toBe(200);
    expect(registrar.register({ contacts: [...contacts, mobile], cSeq: 4 }).status).toBe(403);
  });

  it("does not count expired bindings", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: Array.from({ length: contactsPerAddressOfRecordMax }, (_, n) => `<sip:bob@192.0.2.${n}>;expires=60`) });
    registrar.now += 60_000;
    expect(registrar.register({ contacts: [mobile], cSeq: 2 }).status).toBe(200);
    expect(registrar.contacts).toEqual(["sip:bob@198.51.100.7:5070"]);
  });

  it("[RFC8599 4.1] takes Contacts with push parameters up to the limit, and says the limit to those over it", () => {
    for (const octets of [255, 256, 500, contactOctetsMax]) {
      const registrar = new TestRegistrar();
      expect(registrar.register({ contacts: [pushContact(octets)] }).status).toBe(200);
      expect(registrar.targets().map(({ requestUri }) => requestUri)).toEqual([pushContact(octets).slice(1, -1)]);
    }
    const over = new TestRegistrar().register({ contacts: [pushContact(contactOctetsMax + 1)] });
    expect([over.status, over.reason]).toEqual([400, "Contact URI Over 1024 Octets"]);
  });

  it.each([
    ["a contact", { contacts: [`<sip:${"b".repeat(contactOctetsMax)}@h.test>`] }],
    ["contact parameters", { contacts: [`${desk};x=${"y".repeat(contactParametersOctetsMax)}`] }],
    ["an instance", { contacts: [`${desk};+sip.instance="<${"y".repeat(instanceIdOctetsMax + 1)}>"`] }],
    ["a Call-ID", { contacts: [desk], callId: "c".repeat(callIdOctetsMax + 1) }],
    ["a path", { contacts: [desk], headers: [`Path: <sip:${"p".repeat(pathOctetsMax)}.test;lr>`, "Supported: path"] }],
    [
      "a list of path values",
      { contacts: [desk], headers: [...Array.from({ length: pathValuesMax + 1 }, () => "Path: <sip:p.test;lr>"), "Supported: path"] },
    ],
  ])("refuses %s that is too long with 400", (_, options) => {
    const registrar = new TestRegistrar();
    expect([registrar.register(options).status, registrar.contacts]).toEqual([400, []]);
  });

  it("cuts a long User-Agent", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [desk], headers: [`User-Agent: ${"u".repeat(5_000)}`] });
    expect(registrar.bindings[0]?.userAgent).toHaveLength(userAgentOctetsMax);
  });

  it.each([
    "<sip:bob@>",
    "sip:",
    "<sip:bob@h.test",
    "bob",
    "<sip:bob@h.test>;q=0.5;q=0.6",
    '<sip:bob@h.test>;x="',
    '<sip:bob@h.test>;reg-id=0;+sip.instance="<urn:x:y>"',
    '<sip:bob@h.test>;reg-id=99999999999;+sip.instance="<urn:x:y>"',
    '<sip:bob@h.test>;reg-id=-1;+sip.instance="<urn:x:y>"',
  ])("refuses the contact %j with 400", (contact) => {
    const registrar = new TestRegistrar();
    expect([registrar.register({ contacts: [contact] }).status, registrar.contacts]).toEqual([400, []]);
  });

  it("does not let one phone fill the memory with contacts that it adds and removes", () => {
    const registrar = new TestRegistrar();
    for (let n = 0; n < 300; n += 1) {
      registrar.register({ contacts: [`<sip:bob${n}@192.0.2.4>`], cSeq: 2 * n + 1 });
      registrar.register({ contacts: [`<sip:bob${n}@192.0.2.4>;expires=0`], cSeq: 2 * n + 2 });
    }
    expect(registrar.store.size).toBeLessThan(60);
  });

  it("does not throw, whatever the contacts are", () => {
    const piece = fc.constantFrom(
      "<",
      ">",
      "sip:",
      "bob",
      "@",
      "h.test",
      ";",
      "expires=",
      "0",
      "60",
      "*",
      ",",
      '"',
      "\\",
      "+sip.instance=",
      "reg-id=",
      "1",
      "q=",
      "%",
      "[::1]",
      " ",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.array(piece, { maxLength: 6 }), (contact, path) => {
        const registrar = new TestRegistrar();
        const result = registrar.register({
          contacts: [contact.join("")],
          headers: [`Path: ${path.join("")}`, "Supported: path, outbound"],
        });
        expect([200, 400, 403, 414, 420, 423, 439]).toContain(result.status);
      }),
      { numRuns: 500 },
    );
  });

  it("refuses a CSeq that is none", () => {
    const registrar = new TestRegistrar();
    expect(registrar.register({ contacts: [desk], cSeq: Number.NaN }).status).toBe(400);
    expect(message(["REGISTER sip:example.test SIP/2.0", "CSeq: 1 REGISTER"]).contacts).toEqual([]);
  });
});
