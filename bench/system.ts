/** Where something listens. */
export type Endpoint = { readonly host: string; readonly port: number };

/** Columns of the table. `null`: the null proxy, see bench/null-proxy/. `other`: another checkout of Tandem. */
export type SystemName = "tandem" | "tandem alone" | "other" | "kamailio" | "kamailio+dmq" | "null";

/** What a system is started with. */
export type SystemOptions = {
  /** `digest`: REGISTER needs credentials; every user's password is `bench`. Open when absent. */
  readonly auth?: "open" | "digest";
  /** Users who may register with digest. */
  readonly users?: readonly string[];
  /** Softphones will come: Kamailio loads its module. */
  readonly webSocket?: boolean;
  /** Softphones will come to the gateway: it is the system's WebSocket, in the place of the cells (Tandem). */
  readonly gatewayWebSocket?: boolean;
  /** False: replicas keep to themselves (Tandem). */
  readonly isReplicated?: boolean;
  /** Phones will come over TLS: Kamailio gets a certificate and listens for them. */
  readonly tls?: boolean;
  /** Of Tandem; as many as `npm start` makes when absent. */
  readonly cells?: number;
  readonly exchanges?: number;
  /** The checkout that is started, this one when absent (Tandem). */
  readonly checkout?: string;
  /** Used, and kept, instead of a directory of its own (Tandem). */
  readonly state?: string;
};

/** A system under test that runs. */
export type System = {
  readonly name: SystemName;
  readonly domain: string;
  /** UDP and TCP. */
  readonly sip: Endpoint;
  /** `ca`: PEM of the authority to trust. Undefined when it was not asked for. */
  readonly tls?: (Endpoint & { readonly ca: string }) | undefined;
  /** Each on a process that can die alone, where there are several. */
  readonly webSockets: readonly string[];
  /** The processes whose CPU time and memory count, all their threads included. */
  processes(): readonly number[];
  /** The same in two parts (Tandem). */
  readonly parts?: { readonly cells: readonly number[]; readonly gateways: readonly number[] };
  /** Those that belong to it but only watch: not counted, and said when they were not idle. */
  readonly watchers: readonly number[];
  /** Ends the process, or the processes, behind one of the WebSocket URLs at once (SIGKILL). */
  kill(webSocket: string): void;
  stop(): Promise<void>;
};
