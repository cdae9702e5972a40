import { beforeEach, describe, expect, it } from "vitest";
import type { Connector, LinkHandlers, Target } from "../../../kit/phone/link.ts";
import { Phone } from "../../../kit/phone/phone.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { messageText } from "../../../kit/phone/message-text.ts";
import { FakeLink } from "./fake-link.ts";
import { ManualEnvironment } from "./manual-environment.ts";

let environment: ManualEnvironment;
let opened: { readonly link: FakeLink; readonly handlers: LinkHandlers }[];

beforeEach(() => {
  environment = new ManualEnvironment();
  opened = [];
});

const targets = ["one", "two"].map((name): Target => ({ name, host: "192.0.2.9", port: 5060 }));

const connector: Connector = {
  connect: (target, handlers) => {
    const link = new FakeLink(target.name, true);
    opened.push({ link, handlers });
    handlers.opened(link);
    return link;
  },
  bind: () => {
    throw new Error("no UDP here");
  },
};

function phoneOf(flows: 1 | 2, places = targets): Phone {
  const options = { transport: "tcp", domain: "example.test", targets: places, userAgent: "test", user: "alice", first: 0, flows } as const;
  return new Phone(options, { environment, connector }, { request: (_, _message, reply) => void reply(200, "tag"), ack: () => undefined });
}

/** Answers the last request on a link. */
function answer(at: number, status: number): void {
  const { link, handlers } = opened[at] ?? {};
  const request = link?.said.at(-1);
  if (request !== undefined && link !== undefined) handlers?.received(buildResponse(request, status, { toTag: "r" }), link);
}

const contacts = (): string[] => opened.map(({ link }) => link.said.at(-1)?.valuesOf("Contact")[0] ?? "");

describe("a phone", () => {
  it("[RFC5626 4.2] registers a flow to each of two targets, as one instance", () => {
    const phone = phoneOf(2);
    void phone.start();
    expect(contacts().map((contact) => /<sip:[^>]*>|reg-id=\d/g.exec(contact)?.[0])).toEqual([
      "<sip:alice@one.invalid;ob>",
      "<sip:alice@two.invalid;ob>",
    ]);
    expect(contacts().map((contact) => /reg-id=\d/.exec(contact)?.[0])).toEqual(["reg-id=1", "reg-id=2"]);
    expect(new Set(contacts().map((contact) => /urn:uuid:[\w-]+/.exec(contact)?.[0])).size).toBe(1);
    answer(0, 200);
    expect(phone.isRegistered).toBe(true);
  });

  it("[RFC5626 4.5] with two flows connects again where no other flow of it is", () => {
    const names = ["one", "two", "three"];
    const phone = phoneOf(
      2,
      names.map((name): Target => ({ name, host: "192.0.2.9", port: 5060 })),
    );
    void phone.start();
    for (const [at, next] of ["three", "one"].entries()) {
      const each = opened[at];
      if (each === undefined) throw new Error("no connection");
      each.link.isOpen = false;
      each.handlers.closed(each.link, "reset");
      environment.advance(200);
      expect(opened.at(-1)?.link.target.name).toBe(next);
    }
    expect(
      contacts()
        .slice(2)
        .map((contact) => /reg-id=\d/.exec(contact)?.[0]),
    ).toEqual(["reg-id=1", "reg-id=2"]);
  });

  it("[RFC5626 4.5] connects again, to the next target, when its connection is gone", () => {
    const phone = phoneOf(1);
    void phone.start();
    answer(0, 200);
    const [first] = opened;
    if (first === undefined) throw new Error("no connection");
    first.link.isOpen = false;
    first.handlers.closed(first.link, "reset");
    expect([phone.isRegistered, phone.lastLinkEnd]).toEqual([false, "one: reset"]);
    environment.advance(100);
    expect(opened.map(({ link }) => link.target.name)).toEqual(["one", "two"]);
    answer(1, 200);
    expect(phone.isRegistered).toBe(true);
  });

  it("[RFC3263 4.3] comes back to no target that it has forgotten, also on another network, and its connection there stays", () => {
    const phone = phoneOf(2);
    void phone.start();
    phone.forget("two");
    expect(opened[1]?.link.closedFor).toBe(undefined);
    const close = (at: number): void => {
      const each = opened[at];
      if (each === undefined) throw new Error("no connection");
      each.link.isOpen = false;
      each.handlers.closed(each.link, "reset");
      environment.advance(200);
    };
    close(1);
    expect(opened.at(-1)?.link.target.name).toBe("one");
    expect(contacts().at(-1)).toContain(";reg-id=2");
    phone.forget("one");
    close(0);
    // It knows nobody then, and tries where it was.
    expect(opened.at(-1)?.link.target.name).toBe("one");
  });

  it("[RFC5626 4.5] goes elsewhere when it changes its network and has forgotten its target", () => {
    const phone = phoneOf(1);
    void phone.start();
    phone.forget("one");
    phone.changeNetwork();
    expect(opened.map(({ link }) => link.target.name)).toEqual(["one", "two"]);
  });

  it("[RFC3263 4.3] over UDP registers elsewhere when it forgets its target, and stays there", () => {
    const links = targets.map(({ name }) => new FakeLink(name, false));
    let handlers: LinkHandlers | undefined;
    const udp: Connector = {
      connect: () => {
        throw new Error("no connections here");
      },
      bind: (_, given) => {
        handlers = given;
        return {
          links,
          open: () => {
            for (const link of links) given.opened(link);
          },
          close: () => undefined,
        };
      },
    };
    const options = { transport: "udp", domain: "example.test", targets, userAgent: "test", user: "alice", first: 0, flows: 1 } as const;
    const phone = new Phone(options, { environment, connector: udp }, { request: () => undefined, ack: () => undefined });
    const answered = (at: number): void => {
      const link = links[at];
      const request = link?.said.at(-1);
      if (link !== undefined && request !== undefined) handlers?.received(buildResponse(request, 200, { toTag: "r" }), link);
    };
    void phone.start();
    // It has asked there already, and goes when that is answered.
    phone.forget("one");
    expect(links.map(({ said }) => said.length)).toEqual([1, 0]);
    answered(0);
    expect(links.map(({ said }) => said.length)).toEqual([1, 1]);
    answered(1);
    expect(phone.isRegistered).toBe(true);
    // It knows nobody then, and stays.
    phone.forget("two");
    expect([phone.isRegistered, ...links.map(({ said }) => said.length)]).toEqual([true, 1, 1]);
    environment.advance(60_000);
    expect(new Set(links[1]?.said.map(({ method }) => method))).toEqual(new Set(["REGISTER"]));
    expect(links[1]?.said.at(-1)?.cSeq).toMatchObject({ number: 3 });
  });

  it("registers again after a refusal, and before its registration ends", () => {
    const phone = phoneOf(1);
    void phone.start();
    answer(0, 503);
    expect(phone.registerFailures).toEqual(["REGISTER to one at 0 ms, 503 at 0 ms"]);
    environment.advance(1_500);
    answer(0, 200);
    environment.advance(60_000);
    expect(opened[0]?.link.said.map(({ method, cSeq }) => ({ method, cSeq }))).toMatchObject(
      [1, 2, 3].map((number) => ({ method: "REGISTER", cSeq: { number } })),
    );
    phone.stop();
    expect(opened[0]?.link.closedFor).toBe("stopped");
  });

  it("[RFC5626 4.4.1] gives a connection up on which a probe has no answer", () => {
    const phone = phoneOf(1);
    void phone.start();
    environment.advance(1_500);
    expect(opened[0]?.link.pings).toBe(1);
    environment.advance(1_500);
    expect([phone.flowsGivenUp, opened[0]?.link.closedFor]).toEqual([1, "no answer to a probe"]);
  });

  it("answers requests, and repeated ones alike", () => {
    const phone = phoneOf(1);
    void phone.start();
    const [only] = opened;
    const parties = ["From: <sip:b@example.test>;tag=b", "To: <sip:alice@example.test>", "Call-ID: c", "CSeq: 1 MESSAGE"];
    const octets = octetsOf(messageText("MESSAGE sip:alice@one.invalid SIP/2.0", ["Via: SIP/2.0/TCP x;branch=z9hG4bKx", ...parties]));
    for (let copy = 0; copy < 2; copy += 1) if (only !== undefined) only.handlers.received(octets, only.link);
    expect(only?.link.said.slice(1).map(({ status }) => status)).toEqual([200, 200]);
  });
});
