import { array, boolean, description, fallback, maxLength, pipe, regex, string, toLowerCase, unknown } from "valibot";
import { missedMax, missedMin, periodMsMax, periodMsMin } from "../cluster/group/settings.ts";
import { subscribersPerRequestMax } from "./limits.ts";
import { list, record, whole } from "./reading.ts";

/** What `/api/*` takes. */

const md5 = pipe(string("must be 32 hex digits"), regex(/^[0-9a-f]{32}$/i, "must be 32 hex digits"), toLowerCase());
const sha256 = pipe(string("must be 64 hex digits"), regex(/^[0-9a-f]{64}$/i, "must be 64 hex digits"), toLowerCase());

/** Without the last two, phones that put user@domain into username are refused. */
export const subscribersBodySchema = pipe(
  array(unknown(), "the body must be a JSON array of {aor, ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256}"),
  maxLength(subscribersPerRequestMax, `at most ${subscribersPerRequestMax} subscribers in one request`),
  list(
    record(
      {
        aor: pipe(string("must be a text"), description("address-of-record, user@domain, with or without sip:")),
        ha1Md5: pipe(md5, description("MD5 of user:domain:password (RFC 7616 3.4.2)")),
        ha1Sha256: pipe(sha256, description("SHA-256 of the same")),
        ha1bMd5: pipe(fallback(md5, ""), description("MD5 of user@domain:domain:password; may be left out")),
        ha1bSha256: pipe(fallback(sha256, ""), description("SHA-256 of that; may be left out")),
      },
      "not an object",
    ),
  ),
);

export const heartbeatSchema = record(
  {
    periodMs: pipe(whole(periodMsMin, periodMsMax), description("from one heartbeat to the next")),
    missed: pipe(whole(missedMin, missedMax), description("how many in a row may be missed before a member is down")),
  },
  "must be {periodMs, missed}",
);

export const settingsBodySchema = record({ heartbeat: heartbeatSchema });

export const drainingMessage = 'the body must be {"draining": true} or {"draining": false}';

export const drainingBodySchema = record(
  { draining: pipe(boolean(drainingMessage), description("true: out of service; false: back")) },
  drainingMessage,
);
