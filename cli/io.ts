/** What a command may touch of the process that it runs in. */
export type Io = {
  out(text: string): void;
  err(text: string): void;
  readonly environment: NodeJS.ProcessEnv;
  /** Everything on standard input. */
  readStdin(): Promise<Uint8Array>;
};
