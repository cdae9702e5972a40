import { cancelAnswerMs } from "../../sip/limits.ts";
import type { OutgoingCall } from "./call.ts";
import { areAllCrashed, areCut, isDeathOfCell, isSilenceOfCell, wasDisturbed } from "./excuses.ts";
import type { Story } from "./simulate.ts";

/** Why an INVITE may have got a second final answer, though nobody has done anything wrong. */

/** RFC 3261: 64*T1. */
const transactionMs = 32_000;
/** What the end of a wait is: the answer is on its way for so long. */
const lastMomentMs = 500;

/** RFC 3261 9.1, 16.7 5: the caller has hung up; a phone that a fault has kept silent meanwhile had picked up, or does so: that call is ended with a BYE. */
export function isAnsweredLate(story: Story, { wasCancelled, finalStatuses, outcomeAt }: OutgoingCall): boolean {
  const [first, second] = finalStatuses;
  // What a phone says to the other replica passes there, which has not heard that the caller was answered.
  const isCut = story.faults.some(areCut);
  // Or has lost its memory since, and the phone says its refusal for as long as nobody acknowledges it.
  const hasForgotten = story.faults.some(
    (fault) => (isDeathOfCell(fault) || areAllCrashed(fault)) && fault.from >= outcomeAt && fault.from <= outcomeAt + transactionMs,
  );
  // Or has stood still until then, and reads the refusal before it hears of the answer.
  const hasStoodStill = story.faults.some(
    (fault) => isSilenceOfCell(fault) && fault.from <= outcomeAt && fault.until + lastMomentMs >= outcomeAt,
  );
  const isUnheard = second === 486 && (isCut || hasForgotten || hasStoodStill);
  // The same the other way round: the replica that has passed the CANCEL has not heard of the answer that the other one passed.
  const isUnseen = (first === 200 || first === 486) && second === 487 && isCut;
  const isSuch = wasCancelled && finalStatuses.length === 2 && ((first === 487 && (second === 200 || isUnheard)) || isUnseen);
  return isSuch && wasDisturbed(story, outcomeAt - cancelAnswerMs, outcomeAt);
}
