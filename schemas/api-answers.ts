import { boolean, description, exactOptional, type GenericSchema, type InferOutput, number, picklist, pipe, string } from "valibot";
import type { Registration as ListedRegistration } from "../actors/exchange/effects.ts";
import { list, record, whole } from "./reading.ts";

/** What `/api/*` answers. The cells make it, the commands read it, and docs/api.md is made of it. */

const memberState = picklist(["joining", "up", "draining", "down"], "must be the state of a member");

const member = {
  id: string("must be a text"),
  state: pipe(memberState, description("as the asked cell sees it")),
  heardMs: exactOptional(pipe(number(), description("since it was last heard; absent: never"))),
  missed: exactOptional(pipe(whole(1), description("heartbeats or pings missed in a row; absent: none"))),
  suspicion: exactOptional(pipe(string(), description("why it is suspected; absent: it is not"))),
};

const heartbeat = record({
  periodMs: pipe(number("must be a number"), description("from one heartbeat to the next")),
  missed: pipe(number("must be a number"), description("how many in a row may be missed before a member is down")),
});

const change = record({
  epoch: number(),
  at: pipe(number(), description("ms since 1970, by the clock of the cell that saw it")),
  kind: picklist(["cell", "gateway"]),
  id: string(),
  from: memberState,
  to: memberState,
  cause: string(),
  detail: pipe(string(), description("more about the cause, for people; may be empty")),
});

export const statusSchema = record({
  cells: list(
    record({
      ...member,
      epoch: pipe(number(), description("of its own view; 0: never heard")),
      isFenced: exactOptional(pipe(boolean(), description("it reaches nobody, and takes no registrations; absent: it does"))),
      isDiskFull: exactOptional(pipe(boolean(), description("its disk has no room; absent: it has"))),
      softphonesLeft: exactOptional(pipe(number(), description("while it is draining: softphones that have not gone elsewhere"))),
    }),
  ),
  gateways: list(
    record({
      ...member,
      refused: exactOptional(pipe(number(), description("of new requests, the part that it refuses because all is late; absent: none"))),
      isNative: exactOptional(
        pipe(boolean(), description("it reads and sends many datagrams at once; absent: not known, as of an earlier release")),
      ),
      datagramsLost: exactOptional(pipe(number(), description("since its start; the kernel had no room for them when they came"))),
      datagramsDropped: exactOptional(pipe(number(), description("since its start; nobody had room for them when they were to leave"))),
      datagramsPaced: exactOptional(pipe(number(), description("since its start; left some milliseconds later, to spread a burst"))),
      shed: exactOptional(pipe(number(), description("new requests refused since its start because all was late"))),
    }),
  ),
  registrations: number(),
  dialogs: number(),
  loadBalance: pipe(number(), description("how many live cells carry the registrations: 2 when two have half each, 1 when one has all")),
  coordinator: pipe(string(), description("the live cell that is first in the map")),
  heartbeat,
  signaturesRefused: pipe(number(), description("requests refused for a wrong or used signature since the cells started")),
  history: pipe(list(change), description("the latest changes, the newest last")),
});
export type Status = InferOutput<typeof statusSchema>;
export type Member = Status["gateways"][number] & Partial<Status["cells"][number]>;
export type Change = InferOutput<typeof change>;

export const registrationsSchema = list(
  record({
    aor: pipe(string(), description("address-of-record")),
    contact: string(),
    transport: string(),
    expiresSeconds: number(),
    primary: pipe(string(), description("the cell that serves it")),
    userAgent: string(),
    gateway: pipe(string(), description("the gateway or line that its flow belongs to")),
  }),
) satisfies GenericSchema<unknown, readonly ListedRegistration[]>;

export const subscribersSchema = list(pipe(string(), description("address-of-record")));

export const subscribersStoredSchema = record({
  stored: pipe(number(), description("how many")),
  changed: pipe(number(), description("how many of them had been there before")),
});
export type SubscribersStored = InferOutput<typeof subscribersStoredSchema>;

export const subscriberRemovedSchema = record({ removed: pipe(string(), description("address-of-record")) });
export type SubscriberRemoved = InferOutput<typeof subscriberRemovedSchema>;

export const settingsSchema = record({
  version: pipe(number(), description("of the cluster map; each change makes a new one")),
  heartbeat,
});
export type Settings = InferOutput<typeof settingsSchema>;

export const cellDrainingSchema = record({ id: string(), draining: boolean() });
export type CellDraining = InferOutput<typeof cellDrainingSchema>;

/** What every refusal has. */
export const refusalSchema = record({ error: pipe(string("must be a text"), description("one line for people")) });
