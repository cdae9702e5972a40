/** What a command may touch of the process that it runs in. */
export type Io = {
  out(text: string): void;
  err(text: string): void;
  readonly environment: NodeJS.ProcessEnv;
  /** Everything on standard input. `what` a person at a terminal is asked for, without being shown it: a password when absent. */
  readStdin(what?: "password" | "token"): Promise<Uint8Array>;
};
