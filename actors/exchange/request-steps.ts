import {
  answerOptions,
  checkForwarding,
  hasPrivacy,
  hasRoomForDialog,
  isNoRelay,
  knowsStrangersDialog,
  readCalling,
  register,
  showsOwnName,
  strangerMay,
  vouchForCaller,
} from "./admission.ts";
import { noteSubscription, toContact, toNobody, toOutside, toPhones } from "./destinations.ts";
import { callerIsWhoHeSays } from "./proving.ts";
import type { Step } from "./request-step.ts";
import { withinDialog } from "./within-dialog.ts";

/**
 * What an exchange does with a request, in this order; each step says whether the next one has its turn. What is to be done to requests besides
 * (routing rules, overload, forwarding on no answer, applications) is one more step, put where it belongs:
 *
 * - before the dialog: for every request, at the price of every request;
 * - before the proof: for whoever says that he is somebody;
 * - behind the proof: for whoever is;
 * - among the destinations: instead of those that follow.
 */
export const requestSteps: readonly Step[] = [
  // Within a dialog of ours its sender takes part already.
  withinDialog,

  // Answered here.
  register,
  readCalling,
  answerOptions,

  // May it go further, as far as that can be said without a password?
  checkForwarding,
  knowsStrangersDialog,
  isNoRelay,

  // Whose is it?
  callerIsWhoHeSays,

  // May he?
  strangerMay,
  showsOwnName,
  hasRoomForDialog,
  vouchForCaller,
  hasPrivacy,

  // Where does it go? One of the last three always knows.
  noteSubscription,
  toContact,
  toOutside,
  toPhones,
  toNobody,
];
