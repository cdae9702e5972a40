import {
  array,
  boolean,
  check,
  description,
  exactOptional,
  type GenericSchema,
  maxLength,
  minLength,
  picklist,
  pipe,
  regex,
  string,
  title,
  toLowerCase,
  union,
  unknown,
} from "valibot";
import { roles } from "../cluster/authority/invitation.ts";
import { invitationLocationCharactersMax, invitationMsMax, invitationMsMin, servedNamesMax } from "../cluster/authority/limits.ts";
import type { Wish } from "../cluster/map/wish.ts";
import {
  cellWeightMax,
  certificateOrderMsMax,
  drainDeadlineMsMax,
  gatewayWeightMax,
  healAfterMsMax,
  healAfterMsMin,
  invitedMembersMax,
  memberNamePattern,
  missedMax,
  missedMin,
  periodMsMax,
  periodMsMin,
} from "../cluster/limits.ts";
import { cellsPreferredMax, memberAddressesMax, membersPerRequestMax, subscribersPerRequestMax } from "./limits.ts";
import { placeUrlSchema } from "./cluster-map.ts";
import { orderEntries, outcomeEntries } from "./hosts.ts";
import { servedEntries } from "./keyring.ts";
import { list, strictRecord, whole } from "./reading.ts";

/** What `/api/*` takes. A field that it does not know is refused: who writes it means something by it, and would not get it. */

/** `orNone`: or empty, as cells tell each other of a hash that was left out. */
function hexDigits(count: 32 | 64, orNone = false): GenericSchema<string, string> {
  const reason = `must be ${count} hex digits`;
  const pattern = new RegExp(`^(?:[0-9a-f]{${count}})${orNone ? "?" : ""}$`, "i");
  return pipe(string(reason), regex(pattern, reason), toLowerCase(), title(`${count} hex digits`));
}

/** Without the last two, phones that put user@domain into username are refused. Without those of SHA-256, challenges by it cannot be answered. */
export const subscribersBodySchema = pipe(
  array(unknown(), "the body must be a JSON array of {aor, ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256}"),
  maxLength(subscribersPerRequestMax, `at most ${subscribersPerRequestMax} subscribers in one request`),
  list(
    strictRecord(
      {
        aor: pipe(string("must be a text"), description("address-of-record, user@domain, with or without sip:")),
        ha1Md5: pipe(hexDigits(32), description("MD5 of user:domain:password (RFC 7616 3.4.2)")),
        ha1Sha256: exactOptional(pipe(hexDigits(64, true), description("SHA-256 of the same")), ""),
        ha1bMd5: exactOptional(pipe(hexDigits(32, true), description("MD5 of user@domain:domain:password")), ""),
        ha1bSha256: exactOptional(pipe(hexDigits(64, true), description("SHA-256 of that")), ""),
      },
      "not an object",
    ),
  ),
);

export const heartbeatMessage = "must be {periodMs, missed}";

export const heartbeatSchema = strictRecord(
  {
    periodMs: pipe(whole(periodMsMin, periodMsMax), description("from one heartbeat to the next")),
    missed: pipe(whole(missedMin, missedMax), description("how many in a row may be missed before a member is down")),
  },
  heartbeatMessage,
);

export const settingsBodySchema = strictRecord({ heartbeat: heartbeatSchema });

const cellBody = {
  id: pipe(
    string("must be a text"),
    regex(/^[a-z0-9]{1,16}$/, "must be 1 to 16 letters a-z and digits"),
    description("its name in the map"),
  ),
  url: pipe(placeUrlSchema, description("how gateways and other cells reach it")),
  door: exactOptional(pipe(placeUrlSchema, description("where softphones connect; absent: its URL"))),
  host: exactOptional(pipe(string("must be a text"), description("the machine that it runs on"))),
  location: exactOptional(pipe(string("must be a text"), description("where that machine stands"))),
  weight: exactOptional(pipe(whole(0), description("which share of the exchanges it is to have, beside the others; absent: 1"))),
};

const assignmentBody = {
  primary: pipe(string("must be a text"), description("the cell of its primary")),
  secondary: pipe(string("must be a text"), description("the cell of its other replica")),
  joining: exactOptional(pipe(string("must be a text"), description("a cell that is to be told all before it is the secondary"))),
};

/** What is to be another, and of which version of the map. */
export const mapBodySchema = strictRecord(
  {
    version: pipe(whole(0), description("of the map that the change was made from")),
    writer: pipe(string("must be a text"), description("who wrote that; empty: it was deployed")),
    cells: exactOptional(pipe(list(strictRecord(cellBody)), description("all cells; absent: as they are"))),
    assignments: exactOptional(
      pipe(list(strictRecord(assignmentBody)), description("the cells of each exchange, in their order; absent: as they are")),
    ),
    exchangeCount: exactOptional(pipe(whole(1), description("twice as many as there are, and no other change with it; absent: as many"))),
  },
  "the body must be {version, writer, cells, assignments, exchangeCount}",
);

const memberBody = {
  id: pipe(string("must be a text"), regex(memberNamePattern, "must be 1 to 32 letters, digits or hyphens"), description("its name")),
  kind: pipe(picklist(["cell", "gateway", "host"], "must be cell, gateway or host"), description("what it is")),
  host: pipe(string("must be a text"), description("the host that it runs on; of a host its own name")),
  key: pipe(string("must be a text"), description("its public key, Ed25519: 32 octets in base64url")),
};

/** Of whom certificates are wanted. */
export const membersBodySchema = pipe(
  list(
    strictRecord({
      ...memberBody,
      tlsKey: pipe(string("must be a text"), description("the public key of its certificate, P-256: SubjectPublicKeyInfo in base64")),
      addresses: pipe(
        list(string("must be a text")),
        maxLength(memberAddressesMax, `at most ${memberAddressesMax} addresses`),
        description("the IP address by which others reach it, which is no other machine's; empty: nobody does"),
      ),
    }),
    "the body must be a list of members",
  ),
  minLength(1, "must name a member"),
  maxLength(membersPerRequestMax, `at most ${membersPerRequestMax} members in one request`),
);

const noText = "must be a text";

/** Who is to be a member. */
export const membersAddedBodySchema = strictRecord(
  {
    members: pipe(membersBodySchema, description("with an invitation: a host, then what runs on it")),
    invitation: exactOptional(pipe(string(noText), description("the token that a newcomer has brought; absent: whoever asks wants them"))),
  },
  "the body must be {members, invitation}",
);

export const invitationBodySchema = strictRecord(
  {
    role: pipe(picklist(roles, `must be ${roles.join(", ")}`), description("what the machine may run")),
    location: exactOptional(
      pipe(
        string(noText),
        maxLength(invitationLocationCharactersMax, `must be ${invitationLocationCharactersMax} characters at most`),
        description("where it stands; absent: nobody knows"),
      ),
    ),
    forMs: pipe(whole(invitationMsMin, invitationMsMax), description("how long it is good")),
  },
  "the body must be {role, location, forMs}",
);

const groupBodyMessage = 'the body must be {"preferred": [...]}, {"healAfterMs": N} or both';

export const groupBodySchema = pipe(
  strictRecord(
    {
      preferred: exactOptional(
        pipe(
          list(string("must be the id of a cell")),
          maxLength(cellsPreferredMax, `at most ${cellsPreferredMax} cells`),
          check((cells) => new Set(cells).size === cells.length, "must name each cell once"),
          description("ids of cells, the most preferred first; empty: the first that lives; absent: as it is"),
        ),
      ),
      healAfterMs: exactOptional(
        pipe(
          whole(healAfterMsMin, healAfterMsMax),
          description("how long a cell that is down is waited for, before others get what it had; absent: as it is"),
        ),
      ),
    },
    groupBodyMessage,
  ),
  check((body) => Object.keys(body).length > 0, groupBodyMessage),
);

const domainBodyMessage = 'the body must be {"auth": "digest"} or {"auth": "open"}';

export const domainBodySchema = strictRecord(
  { auth: pipe(picklist(["digest", "open"], "must be digest or open"), description("`open`: nobody is asked for a password")) },
  domainBodyMessage,
);

export const weightBodySchema = strictRecord(
  { weight: pipe(whole(0, gatewayWeightMax), description("0: phones come when no other gateway answers")) },
  'the body must be {"weight": N}',
);

const drainingMessage = 'the body must be {"draining": true} or {"draining": false}';

export const gatewayDrainingBodySchema = strictRecord(
  {
    draining: pipe(boolean(drainingMessage), description("true: out of service; false: back")),
    closeAfterMs: exactOptional(
      pipe(
        whole(0, drainDeadlineMsMax),
        description("then the connections that it has are closed, a few at a time; absent: they are kept"),
      ),
    ),
  },
  drainingMessage,
);

const cellPlaces = pipe(
  list(
    strictRecord({
      id: string(noText),
      url: placeUrlSchema,
      door: exactOptional(placeUrlSchema),
    }),
  ),
  maxLength(invitedMembersMax, `at most ${invitedMembersMax} cells`),
);
/** `PUT /host/address`: where the cells of the host are now that asks. */
export const hostAddressBodySchema = strictRecord({ cells: cellPlaces });

const challenges = pipe(
  list(
    strictRecord({
      token: pipe(string(noText), regex(/^[\w-]{1,128}$/, "is no token of a challenge")),
      answer: pipe(string(noText), regex(/^[\w.-]{1,256}$/, "is no answer to a challenge")),
    }),
  ),
  maxLength(servedNamesMax, `at most ${servedNamesMax} challenges`),
);
/** `PUT /host/certificate-order`: a host orders a certificate for the gateways of several machines. 0: it is done. */
export const certificateOrderBodySchema = strictRecord({ forMs: whole(0, certificateOrderMsMax), challenges });
/** `PUT /host/served`: what has been issued. */
export const servedBodySchema = strictRecord(servedEntries);

/** Between cells: what a cell asks the coordinator to write. */
export const wishBodySchema = union([
  strictRecord({ addDomain: strictRecord({ name: string(noText), auth: picklist(["digest", "open"]) }) }),
  strictRecord({ removeDomain: string(noText) }),
  strictRecord({ drainGateway: strictRecord({ id: string(noText), closeAt: exactOptional(whole(0)) }) }),
  strictRecord({ undrainGateway: string(noText) }),
  strictRecord({ weighGateway: strictRecord({ id: string(noText), weight: whole(0, gatewayWeightMax) }) }),
  strictRecord({ weighCell: strictRecord({ id: string(noText), weight: whole(0, cellWeightMax) }) }),
  strictRecord({
    addMembers: list(strictRecord(memberBody)),
    by: exactOptional(strictRecord({ id: string(noText), host: string(noText), key: string(noText), until: whole(0) })),
  }),
  strictRecord({ removeMember: string(noText) }),
  strictRecord({ moveCells: cellPlaces, host: string(noText) }),
  strictRecord({ orderCertificate: strictRecord({ host: string(noText), until: whole(0), challenges }) }),
  strictRecord({ giveOrder: strictRecord(orderEntries) }),
  strictRecord({ finishOrder: strictRecord({ host: string(noText), ...outcomeEntries }) }),
]) satisfies GenericSchema<unknown, Wish>;

/** What a cell asks of another one: to end a call that one of these exchanges may have. */
export const endingBodySchema = strictRecord({ id: string("must be a text"), exchanges: list(whole(0)) });

export const cellBodyMessage = 'the body must be {"draining": true}, {"draining": false} or {"weight": N}';

/** One of the two: each is done somewhere else, and half of a change would be hard to tell. */
export const cellBodySchema = pipe(
  strictRecord(
    {
      draining: exactOptional(pipe(boolean(cellBodyMessage), description("true: out of service; false: back"))),
      weight: exactOptional(pipe(whole(0, cellWeightMax), description("which share of the exchanges it is to have, beside the others"))),
    },
    cellBodyMessage,
  ),
  check((body) => Object.keys(body).length === 1, cellBodyMessage),
);
