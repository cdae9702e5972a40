import { expect } from "vitest";
import { PeerLink } from "../../../cluster/replication/peer-link.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import { binding, version } from "../../sip/record/records.ts";
import { ackTimeoutMs, leaseMs } from "./world.ts";

/** Answers whatever is asked, as this start of the peer, until nothing is. */
export function answerAs(link: PeerLink, boot: string, now: number): void {
  for (let at = now; at < now + 500; at += 5) {
    for (const effect of link.takeEffects()) {
      if (effect.type !== "send") continue;
      const { sequence } = JSON.parse(effect.text) as { readonly sequence: number };
      link.answered(effect.id, { boot, received: sequence, ahead: 0 }, at);
    }
    link.tick(at);
  }
}

/** A link that is together with its peer, and what it has sent last. */
export function waiting(): { readonly link: PeerLink; readonly id: number; readonly sequence: number; readonly states: () => string[] } {
  const store = new RecordStore({ isPaired: true });
  const link = new PeerLink({ cell: "a", boot: "a1", ackTimeoutMs, leaseMs }, store, 0);
  answerAs(link, "b1", 1);
  link.receive({ cell: "b", boot: "b1", peerBoot: "a1", after: 0, sequence: 0, isComplete: true, records: [], unreadable: 0 }, 600);
  answerAs(link, "b1", 601);
  store.apply({ kind: "binding", key: "bob@example.test x", version: version(1), value: binding() });
  expect(link.commit(store.sequence, 2_000)).toBe("wait");
  const effects = link.takeEffects();
  const [sent] = effects.filter(({ type }) => type === "send");
  if (sent?.type !== "send") throw new Error("nothing is sent");
  const states = (): string[] => link.takeEffects().flatMap((effect) => (effect.type === "state" ? [effect.state] : []));
  return { link, id: sent.id, sequence: store.sequence, states };
}
