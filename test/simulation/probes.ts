import type { Story } from "./simulate.ts";

/** When all is quiet every call succeeds. `before`: how many calls each phone had made by then. */
export function checkProbes(story: Story, before: readonly number[]): void {
  const { cluster } = story;
  for (const [index, phone] of cluster.phones.entries()) {
    for (const call of phone.outgoing.slice(before[index])) {
      const callee = cluster.phones.find(({ user }) => user === call.plan.callee);
      const isThere = callee?.registration.acknowledged?.isRegistered === true && callee.registration.isWanted;
      if (call.outcome === 200 && call.isOver) continue;
      // Not always 404: both cells may have died before either disk knew that it had gone.
      if (!isThere && (callee?.registration.isSettled !== true || (call.outcome ?? 0) >= 400)) continue;
      cluster.world.violated(
        "callsSucceedWhenQuiet",
        `${call.callId} to ${call.plan.callee} ended with ${call.outcome}, BYE ${call.byeStatus}`,
      );
    }
  }
}
