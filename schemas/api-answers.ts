import {
  boolean,
  description,
  exactOptional,
  type GenericSchema,
  type InferOutput,
  nullable,
  number,
  picklist,
  pipe,
  string,
} from "valibot";
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

const host = exactOptional(pipe(string(), description("the machine that it runs on; absent: nobody knows")));

const gatewayState = pipe(
  picklist(["joining", "up", "draining", "down", "left"], "must be the state of a gateway"),
  description("as the asked cell sees it; `left`: it was stopped in order, and is not shown any more after a minute"),
);

const exchanges = list(
  record({
    exchange: number(),
    primary: string(),
    secondary: string(),
    joining: exactOptional(pipe(string(), description("the cell that is being told all, to be the secondary"))),
    state: pipe(
      picklist(["paired", "single", "moving", "unserved", "unknown"]),
      description(
        "`single`: only one has all; `moving`: both, and a third is told; `unserved`: neither serves it; `unknown`: a cell that lives is late",
      ),
    ),
    cause: exactOptional(pipe(string(), description("why it is single, or not known"))),
  }),
);

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

const doubling = exactOptional(
  pipe(
    record({
      left: pipe(
        number(),
        description("replicas that have not handed over yet what belongs to new exchanges; without cells that are down"),
      ),
      down: exactOptional(pipe(list(string()), description("cells that are down, and hand over when they are back; absent: none"))),
    }),
    description("the exchanges have been doubled, and that is not over; absent: it is"),
  ),
);

export const statusSchema = record({
  cells: list(
    record({
      ...member,
      host,
      epoch: pipe(number(), description("of its own view; 0: never heard")),
      isFenced: exactOptional(pipe(boolean(), description("it reaches nobody, and takes no registrations; absent: it does"))),
      isLate: exactOptional(pipe(boolean(), description("it has not answered in time, and what only it knows is missing; absent: it has"))),
      isDiskFull: exactOptional(pipe(boolean(), description("its disk has no room; absent: it has"))),
      delayMs: exactOptional(pipe(number(), description("there and back, as heartbeats take; absent: the asked cell, or none came back"))),
      softphonesLeft: exactOptional(pipe(number(), description("while it is draining: softphones that have not gone elsewhere"))),
      ownState: exactOptional(
        pipe(memberState, description("what it is in its own eyes, where the asked cell sees something else; absent: the same")),
      ),
      unheardBy: exactOptional(
        pipe(
          list(string()),
          description("live cells that have not answered since it is what it is; absent: none, or it has not answered itself"),
        ),
      ),
      hindrance: exactOptional(
        pipe(
          string(),
          description("what came in place of its answer to the latest heartbeat, in words; absent: an answer did, or nothing"),
        ),
      ),
      code: exactOptional(
        pipe(
          string(),
          description(
            "which code its Worker runs: a hash of the script, on Cloudflare the tag or the id of its version; absent: it has not answered",
          ),
        ),
      ),
      otherCode: exactOptional(
        pipe(
          list(
            record({
              code: pipe(string(), description("`unknown`: they have not said it in time, or are of an earlier release")),
              objects: list(string()),
            }),
          ),
          description("objects of it that run other code than its Worker; absent: none"),
        ),
      ),
    }),
  ),
  gateways: list(
    record({
      ...member,
      host,
      state: gatewayState,
      refused: exactOptional(pipe(number(), description("of new requests, the part that it refuses because all is late; absent: none"))),
      isNative: exactOptional(
        pipe(boolean(), description("it reads and sends many datagrams at once; absent: not known, as of an earlier release")),
      ),
      datagramsLost: exactOptional(pipe(number(), description("since its start; the kernel had no room for them when they came"))),
      datagramsDropped: exactOptional(pipe(number(), description("since its start; nobody had room for them when they were to leave"))),
      datagramsPaced: exactOptional(pipe(number(), description("since its start; left some milliseconds later, to spread a burst"))),
      shed: exactOptional(pipe(number(), description("new requests refused since its start because all was late"))),
      noise: exactOptional(
        pipe(number(), description("new requests refused since its start, of sources that ask for much and get nothing")),
      ),
      connectionsLeft: exactOptional(pipe(number(), description("while it is draining: connections of phones that it has"))),
      noisySources: exactOptional(pipe(number(), description("sources that are refused something for that now"))),
    }),
  ),
  gone: exactOptional(
    pipe(
      list(record({ host: string(), cells: list(string()), gateways: list(string()) })),
      description("machines of which nothing is up, and what ran there; absent: none"),
    ),
  ),
  registrations: pipe(number(), description("that have not expired, each once")),
  dialogs: pipe(number(), description("calls that stand and have been answered, each once")),
  uncounted: exactOptional(
    pipe(list(number()), description("exchanges for which no cell has answered: those two are without theirs; absent: none")),
  ),
  loadBalance: pipe(
    number(),
    description(
      "how many live cells carry the registrations: 2 when two have half each, 1 when one has all. As many as there are is even; 0: there are none",
    ),
  ),
  coordinator: pipe(string(), description("the live cell that is preferred, or else first in the map")),
  exchanges: exactOptional(pipe(exchanges, description("absent: the cell is of an earlier release"))),
  doubling,
  risk: exactOptional(pipe(string(), description("what the failure of a cell would cost now, in one sentence"))),
  heartbeat,
  signaturesRefused: pipe(number(), description("requests refused for a wrong or used signature since the cells started")),
  history: pipe(list(change), description("the latest changes, the newest last")),
});
export type Status = InferOutput<typeof statusSchema>;
export type Member = Status["gateways"][number] & Partial<Omit<Status["cells"][number], "state">>;
export type Change = InferOutput<typeof change>;

export const groupSchema = record({
  coordinator: pipe(string(), description("the live cell that decides what the map says")),
  epoch: pipe(number(), description("of the view of the asked cell")),
  map: record({ version: number(), writer: pipe(string(), description("the cell that wrote it; empty: it was deployed")) }),
  preferred: pipe(list(string()), description("cells that are to be the coordinator before others")),
  healAfterMs: pipe(number(), description("how long a cell that is down is waited for, before others get what it had")),
  members: list(
    record({
      id: string(),
      kind: picklist(["cell", "gateway"]),
      state: gatewayState,
      host,
      location: exactOptional(string()),
      weight: exactOptional(pipe(number(), description("which share it is to have, beside those of the others; of cells only"))),
      primaries: exactOptional(pipe(number(), description("exchanges that it serves first"))),
      replicas: exactOptional(pipe(number(), description("exchanges that it has a replica of"))),
      left: exactOptional(pipe(number(), description("exchanges that it has a replica of no more, and something left; absent: none"))),
      softphonesLeft: exactOptional(pipe(number(), description("while it is draining: softphones that have not gone elsewhere"))),
    }),
  ),
  singletons: list(
    record({
      name: string(),
      policy: pipe(string(), description("how many do it, and who")),
      owner: pipe(string(), description("the cell that does it; several with a space between; empty: nobody")),
      epoch: pipe(number(), description("of the map that made it the owner")),
      writer: pipe(string(), description("who wrote that map; epochs are one by both")),
      members: list(record({ id: string(), state: picklist(["active", "idle", "down"]) })),
    }),
  ),
  exchanges,
  doubling,
});
export type Group = InferOutput<typeof groupSchema>;

export const groupSettingsSchema = record({ preferred: list(string()), healAfterMs: number() });
export type GroupSettingsAnswer = InferOutput<typeof groupSettingsSchema>;
/** How a change of the map is refused that was made from another version than the newest. */
export const mapChangedText = "the map has changed meanwhile";
export const mapAnswerSchema = record({
  version: pipe(number(), description("higher with each change")),
  writer: pipe(string(), description("the cell that wrote it; empty: it was deployed")),
  cells: list(
    record({
      id: string(),
      url: string(),
      door: exactOptional(string()),
      host: exactOptional(string()),
      location: exactOptional(string()),
      weight: exactOptional(number()),
    }),
  ),
  exchangeCount: number(),
  doubling,
  assignments: pipe(
    list(record({ primary: string(), secondary: string(), joining: exactOptional(string()) })),
    description("the cells of each exchange, in their order"),
  ),
});
export type MapAnswer = InferOutput<typeof mapAnswerSchema>;

export const membersSchema = list(
  record({
    id: pipe(string(), description("its name")),
    kind: picklist(["cell", "gateway", "host"]),
    host: pipe(string(), description("the host that it runs on")),
    key: pipe(string(), description("its public key, Ed25519, in base64url")),
  }),
);
export type Members = InferOutput<typeof membersSchema>;

const certificates = list(
  record({
    id: string(),
    certificate: pipe(string(), description("PEM, for its `tlsKey`")),
    until: pipe(number(), description("ms since 1970")),
  }),
);
/** What `PUT /host/certificates` answers. */
export const certificatesSchema = record({ certificates });

export const membersAddedSchema = record({
  certificates,
  authority: pipe(string(), description("the certificate of who has signed these, PEM")),
  cells: list(record({ id: string(), url: string() })),
  keyring: exactOptional(pipe(string(), description("what only cells have, as JSON: there when one of these is a cell"))),
  map: exactOptional(pipe(string(), description("the newest cluster map, as JSON: there with an invitation"))),
});
export type MembersAdded = InferOutput<typeof membersAddedSchema>;

const secretPlace = {
  version: pipe(number(), description("higher with each change")),
  writer: pipe(string(), description("the cell that drew it; empty: it was deployed")),
};
export const secretSchema = record({
  signing: pipe(record(secretPlace), description("the secret that tokens and nonces are signed with")),
  next: exactOptional(pipe(record(secretPlace), description("the one that is to sign when all cells have it; absent: there is none"))),
  former: pipe(
    list(record({ ...secretPlace, until: pipe(string(), description("until when what it has signed counts, as ISO 8601 writes it")) })),
    description("those before, the newest first"),
  ),
  waitsFor: pipe(list(string()), description("cells that have not got the next one")),
});
export type Secret = InferOutput<typeof secretSchema>;

export const invitationSchema = record({
  token: pipe(string(), description("what the other machine has to say")),
  expires: pipe(number(), description("ms since 1970")),
});
export type InvitationMade = InferOutput<typeof invitationSchema>;

/** What `GET /host/standing` answers: what a cell has of a key. */
export const standingSchema = record({ standing: picklist(["member", "removed", "unknown"]) });
export type Standing = InferOutput<typeof standingSchema>;

/** What `GET /host/members` answers: how the group sees what runs on a host. */
const stateOfMember = list(record({ id: string(), state: string() }));
export const hostMembersSchema = record({ cells: stateOfMember, gateways: stateOfMember });
export type HostMembers = InferOutput<typeof hostMembersSchema>;

export const memberRemovedSchema = record({ removed: string() });
export type MemberRemoved = InferOutput<typeof memberRemovedSchema>;

export const registrationsSchema = list(
  record({
    aor: pipe(string(), description("address-of-record")),
    contact: string(),
    transport: string(),
    expiresSeconds: number(),
    primary: pipe(string(), description("the cell that serves it now")),
    userAgent: string(),
    gateway: pipe(
      string(),
      description(
        "the gateway or line that the phone came by; empty: that is down, and the phone cannot be reached until it comes by another",
      ),
    ),
    cell: exactOptional(pipe(string(), description("the cell of that line; absent: it is a gateway, or nothing"))),
  }),
) satisfies GenericSchema<unknown, readonly ListedRegistration[]>;

const time = pipe(string(), description("as ISO 8601 writes it, UTC"));

const callRow = record({
  id: pipe(string(), description("names the call: `tandem calls show ID`")),
  caller: pipe(string(), description("address-of-record, or `user@host` of somebody outside")),
  callee: pipe(string(), description("the same of who was called")),
  answeredBy: pipe(string(), description("the Contact of the phone that answered; empty: none has")),
  start: time,
  ring: pipe(nullable(time), description("null: it has not rung")),
  answer: pipe(nullable(time), description("null: nobody has answered")),
  end: pipe(nullable(time), description("null: it stands now")),
  status: pipe(number(), description("of the last response that its caller got")),
  reason: pipe(string(), description("why it is over, or what it does, in words")),
  cells: pipe(list(string()), description("that had it in hand, the first one first")),
  gateways: pipe(list(string()), description("gateways and lines that it came and went by")),
  failovers: pipe(number(), description("how often another replica went on with it")),
});
export const callSchema = callRow;
export const callsSchema = list(callRow);
export type CallRow = InferOutput<typeof callRow>;

export const callEndedSchema = record({
  id: string(),
  was: pipe(picklist(["answered", "ringing"]), description("`answered`: both phones are sent a BYE; `ringing`: its caller is told 487")),
});
export type CallEnded = InferOutput<typeof callEndedSchema>;

export const subscribersSchema = list(pipe(string(), description("address-of-record")));

export const subscribersStoredSchema = record({
  stored: pipe(number(), description("how many")),
  changed: pipe(number(), description("how many of them had been there before")),
});
export type SubscribersStored = InferOutput<typeof subscribersStoredSchema>;

export const subscriberRemovedSchema = record({ removed: pipe(string(), description("address-of-record")) });
export type SubscriberRemoved = InferOutput<typeof subscriberRemovedSchema>;

export const domainsSchema = list(
  record({
    name: string(),
    auth: picklist(["digest", "open"]),
    digest: exactOptional(pipe(list(picklist(["MD5", "SHA-256"])), description("algorithms of its challenges; absent: MD5"))),
    isAdded: pipe(boolean(), description("it was added while the system ran, and may be removed so")),
    subscribers: exactOptional(pipe(number(), description("where they were asked for"))),
  }),
);
export type DomainRow = InferOutput<typeof domainsSchema>[number];

export const domainRemovedSchema = record({
  removed: pipe(string(), description("the domain")),
  subscribers: pipe(number(), description("removed with it")),
  phones: exactOptional(pipe(number(), description("whose registrations ended with it; absent: none, or not all have ended"))),
  left: pipe(number(), description("not removed, because no replica of their exchange could be reached; ask again")),
});
export type DomainRemoved = InferOutput<typeof domainRemovedSchema>;

const listener = record({
  transport: picklist(["UDP", "TCP", "TLS", "WS", "WSS"]),
  host: pipe(string(), description("address or name that phones use")),
  port: number(),
});
export const gatewaysSchema = list(
  record({
    id: string(),
    state: gatewayState,
    weight: pipe(number(), description("which share of the phones it is to get, beside the others")),
    listeners: pipe(list(listener), description("where phones find it; empty: it has not said so to the asked cell")),
  }),
);
export type GatewayRow = InferOutput<typeof gatewaysSchema>[number];

export const gatewayDrainingSchema = record({
  id: string(),
  draining: boolean(),
  closeAt: exactOptional(pipe(number(), description("ms since 1970: when it begins to close connections; absent: it does not"))),
});
export type GatewayDraining = InferOutput<typeof gatewayDrainingSchema>;

export const gatewayWeightSchema = record({ id: string(), weight: number() });

export const settingsSchema = record({
  version: pipe(number(), description("of the cluster map; each change makes a new one")),
  heartbeat,
});
export type Settings = InferOutput<typeof settingsSchema>;

export const cellChangedSchema = record({
  id: string(),
  draining: exactOptional(pipe(boolean(), description("where that was asked"))),
  weight: exactOptional(pipe(number(), description("where that was asked"))),
});
export type CellChanged = InferOutput<typeof cellChangedSchema>;

/** What every refusal has. */
export const refusalSchema = record({ error: pipe(string("must be a text"), description("one line for people")) });
