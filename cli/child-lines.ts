/** The same words within this are one line. */
const sameWordsMs = 60_000;
/** Of a line that the runtime writes for its own developers. */
const lengthMax = 300;

/** What of a process's lines is shown: not the runtime's own stacks, which are addresses, nor the same complaint again and again. */
export class ChildLines {
  /** By complaint: when it was shown last, ms. */
  readonly #shownAt = new Map<string, number>();

  /** The line as it is to be shown; undefined: it is not. */
  shown(line: string, now: number): string | undefined {
    if (line.trim() === "" || line.startsWith("stack: ")) return undefined;
    const complaint = /^workerd\/\S+: (?:error|warning|info): (.*)$/.exec(line)?.[1];
    if (complaint === undefined) return line.endsWith(": internal error") && !this.#isNew(line, now) ? undefined : line;
    // The cell has asked whether there is room, and says by itself that there is none.
    if (complaint.includes("No space left on device")) return undefined;
    // A process at the other end has ended: the supervisor says which, and the cells that it is down.
    if (complaint.includes("Network connection lost") || complaint.includes("disconnected: ")) return undefined;
    // An alarm that was set for another time while it rang: it rings then.
    if (complaint.includes("alarm handler canceled with requestScheduledAlarm")) return undefined;
    const text = complaint
      .replace(/^e = \S+ /, "")
      .replace(/; sentryErrorContext.*$/, "")
      .slice(0, lengthMax);
    return this.#isNew(text, now) ? `workerd: ${text}` : undefined;
  }

  #isNew(text: string, now: number): boolean {
    if (now - (this.#shownAt.get(text) ?? Number.NEGATIVE_INFINITY) < sameWordsMs) return false;
    // There are few kinds; should a complaint hold a number, they are forgotten together.
    if (this.#shownAt.size >= complaintsMax) this.#shownAt.clear();
    this.#shownAt.set(text, now);
    return true;
  }
}

/**
 * Whether a line of stderr, as {@link ChildLines} shows it, is for people. The runtime's complaints are not. Nor is that a gateway has a way to a
 * cell, or has none yet: while all is started that is no news.
 */
export function isWarning(shown: string): boolean {
  return !shown.startsWith("workerd: ") && !/ gateway \S+ \S+-(?:up|down)(?: |$)/.test(shown);
}

/** More different complaints than these are not told apart. */
const complaintsMax = 100;
