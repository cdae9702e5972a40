/** Something planned that can be called off. */
export type Planned = { cancel(): void };

/** How a phone knows the time, and waits. */
export type PhoneTime = {
  /** ms, counted from anywhere. It never goes back. */
  readonly now: number;
  after(ms: number, act: () => void): Planned;
};

/** What a phone cannot have of itself. */
export type PhoneEnvironment = PhoneTime & {
  /** At least 0, less than 1. */
  random(): number;
  /** A text that nobody has had before, of characters that a token may have. */
  newId(): string;
};
