import {
  array,
  boolean,
  description,
  exactOptional,
  type GenericSchema,
  maxLength,
  pipe,
  regex,
  string,
  title,
  toLowerCase,
  unknown,
} from "valibot";
import { missedMax, missedMin, periodMsMax, periodMsMin } from "../cluster/group/settings.ts";
import { subscribersPerRequestMax } from "./limits.ts";
import { list, strictRecord, whole } from "./reading.ts";

/** What `/api/*` takes. A field that it does not know is refused: who writes it means something by it, and would not get it. */

/** `orNone`: or empty, as cells tell each other of a hash that was left out. */
function hexDigits(count: 32 | 64, orNone = false): GenericSchema<string, string> {
  const reason = `must be ${count} hex digits`;
  const pattern = new RegExp(`^(?:[0-9a-f]{${count}})${orNone ? "?" : ""}$`, "i");
  return pipe(string(reason), regex(pattern, reason), toLowerCase(), title(`${count} hex digits`));
}

/** Without the last two, phones that put user@domain into username are refused. */
export const subscribersBodySchema = pipe(
  array(unknown(), "the body must be a JSON array of {aor, ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256}"),
  maxLength(subscribersPerRequestMax, `at most ${subscribersPerRequestMax} subscribers in one request`),
  list(
    strictRecord(
      {
        aor: pipe(string("must be a text"), description("address-of-record, user@domain, with or without sip:")),
        ha1Md5: pipe(hexDigits(32), description("MD5 of user:domain:password (RFC 7616 3.4.2)")),
        ha1Sha256: pipe(hexDigits(64), description("SHA-256 of the same")),
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

export const drainingMessage = 'the body must be {"draining": true} or {"draining": false}';

export const drainingBodySchema = strictRecord(
  { draining: pipe(boolean(drainingMessage), description("true: out of service; false: back")) },
  drainingMessage,
);
