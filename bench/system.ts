/** Where something listens. */
export type Endpoint = { readonly host: string; readonly port: number };

/** Columns of the table. */
export type SystemName = "tandem" | "tandem alone" | "kamailio" | "kamailio+dmq";

/** What a system is started with. */
export type SystemOptions = {
  /** `digest`: REGISTER needs credentials; every user's password is `bench`. Open when absent. */
  readonly auth?: "open" | "digest";
  /** Users who may register with digest. */
  readonly users?: readonly string[];
  /** Softphones will come: Kamailio loads its module. */
  readonly webSocket?: boolean;
  /** False: replicas keep to themselves (Tandem). */
  readonly isReplicated?: boolean;
  /** Used, and kept, instead of a directory of its own (Tandem). */
  readonly state?: string;
};

/** A system under test that runs. */
export type System = {
  readonly name: SystemName;
  readonly domain: string;
  /** UDP and TCP. */
  readonly sip: Endpoint;
  readonly webSockets: readonly string[];
  /** The processes whose CPU time and memory count, all their threads included. */
  processes(): readonly number[];
  /** Those that belong to it but only watch: not counted, and said when they were not idle. */
  readonly watchers: readonly number[];
  stop(): Promise<void>;
};
