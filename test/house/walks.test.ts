import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FollowedWorld, type Footsteps } from "./followed-call.ts";
import { textOf } from "./sources.ts";

/*
 * ARCHITECTURE.md walks with one INVITE and one REGISTER from file to file. Here both are made, in the world of the simulation, and the engine says
 * which files they came through. Shells (workers/, gateway/) are not in that world: architecture.test.ts knows that their files exist.
 */

/** What the walks tell beside the way, and when it would be on it. */
const beside: Readonly<Record<string, string>> = {
  "sip/message/stream-framer.ts": "over TCP and TLS",
  "actors/exchange/ports.ts": "types, which do not run",
  "actors/exchange/request-steps.ts": "a list, which does not run",
  "sip/flow/brief-response.ts": "an INVITE that is refused",
  "actors/exchange/authority.ts": "a domain that asks for passwords",
  "sip/auth/digest.ts": "a domain that asks for passwords",
  "sip/auth/guess-brake.ts": "a domain that asks for passwords",
  "actors/exchange/strangers.ts": "somebody from outside",
  "sip/registrar/large-requests.ts": "what is too large for a datagram",
  "actors/exchange/contact-finder.ts": "a call to a softphone's Contact",
  "actors/exchange/undeliverables.ts": "a softphone that has gone",
  "actors/exchange/stray-responses.ts": "a response without a transaction",
  "sip/registrar/room.ts": "a full list of bindings",
  "sip/proxy/unproven-places.ts": "a Contact that is somewhere else",
};

function section(heading: string): string {
  const text = textOf("ARCHITECTURE.md");
  const begin = text.indexOf(`\n## ${heading}`);
  if (begin < 0) throw new Error(`ARCHITECTURE.md has no heading ${heading}`);
  return text.slice(begin, text.indexOf("\n## ", begin + 1));
}

/** Files that a text names and that can be met on the way. */
function namedIn(text: string): string[] {
  return [...new Set([...text.matchAll(/`((?:sip|cluster|actors)\/[\w./-]+\.ts)`/g)].map((match) => match[1] ?? ""))];
}

const onTheWay = (file: string): boolean => beside[file] === undefined;

/** When a file ran first. */
function firstOf(file: string, footsteps: readonly Footsteps[]): number {
  return footsteps.find(({ files }) => files.has(file))?.atMs ?? Number.POSITIVE_INFINITY;
}

function ranIn(footsteps: readonly Footsteps[]): ReadonlySet<string> {
  return new Set(footsteps.flatMap(({ files }) => [...files]));
}

let world: FollowedWorld;
/** From the INVITE of a call to its ringing; its rest; a REGISTER. */
let invite: readonly Footsteps[];
let rest: readonly Footsteps[];
let register: readonly Footsteps[];

beforeAll(() => {
  world = new FollowedWorld();
  const { alice, bob } = world;
  const plan = { callee: "bob", manner: "answers", ringMs: 100, talkMs: 1_000, cancelMs: undefined, byeBy: "caller" } as const;
  invite = world.follow(
    () => alice.call({ ...plan, reinviteBy: "nobody", referBy: "nobody" }),
    () => [...bob.incoming.values()].some(({ state }) => state === "rings"),
  );
  rest = world.follow(
    () => undefined,
    () => alice.outgoing.every(({ byeStatus }) => byeStatus === 200),
    2_000,
  );
  const { registration } = alice;
  const before = registration.acknowledged?.cSeq;
  register = world.follow(
    () => registration.refresh(),
    () => registration.acknowledged?.cSeq !== before,
  );
});

afterAll(() => world.close());

describe("the walk of one INVITE", () => {
  const text = section("One INVITE");

  it("names files that the call comes through, and of the others it is known why not", () => {
    const ran = ranIn([...invite, ...rest]);
    expect(namedIn(text).filter((file) => ran.has(file) !== onTheWay(file))).toEqual([]);
  });

  it("names them in their order: the gateway's, then the exchange's, then the line's", () => {
    const steps = text.split(/^(?=\d+\. )/m).slice(1);
    const last = steps.pop()?.split("\n\n")[0] ?? "";
    const told = new Set<string>();
    const moments = [...steps, last].map((step) => {
      const news = namedIn(step).filter((file) => onTheWay(file) && !told.has(file));
      for (const file of news) told.add(file);
      return Math.max(...news.map((file) => firstOf(file, invite)));
    });
    expect(moments.length).toBe(10);
    expect(moments).toEqual(moments.toSorted((one, other) => one - other));
    expect(new Set(moments).size).toBeGreaterThanOrEqual(3);
    expect(moments.at(-1)).toBe(firstOf("actors/line/line.ts", invite));
  });
});

describe("the walk of one REGISTER", () => {
  const text = section("One REGISTER");

  it("names files that it comes through, and of the others it is known why not", () => {
    const ran = ranIn(register);
    expect(namedIn(text).length).toBeGreaterThan(5);
    expect(namedIn(text).filter((file) => ran.has(file) !== onTheWay(file))).toEqual([]);
  });

  it("begins as that of an INVITE does", () => {
    const gateway = namedIn(section("One INVITE")).filter((file) => file.startsWith("actors/gateway/"));
    expect(gateway.length).toBeGreaterThan(0);
    expect(gateway.filter((file) => !ranIn(register).has(file))).toEqual([]);
  });
});

it("nothing stands beside both walks", () => {
  const named = new Set(["One INVITE", "One REGISTER"].flatMap((heading) => namedIn(section(heading))));
  expect(Object.keys(beside).filter((file) => !named.has(file))).toEqual([]);
});
