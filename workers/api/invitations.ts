import { Hono } from "hono";
import { makeInvitation } from "../../cluster/authority/invitation.ts";
import type { InvitationMade } from "../../schemas/api-answers.ts";
import { invitationBodySchema } from "../../schemas/api-bodies.ts";
import { faultText, read } from "../../schemas/reading.ts";
import { fingerprintOf, invitationMacOf } from "../certificates.ts";
import { coreGroupObject } from "../environment.ts";
import { settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { jsonOf } from "./json-body.ts";

/** `/api/invitations`: what lets one machine more join (docs/decisions/0047). Nothing is kept of one before it is used. */
export const invitationsApi = new Hono<Signed>();

invitationsApi.use(signed(() => "api", settingsOctetsMax));

invitationsApi.put("/", async (context) => {
  const { value, fault } = read(invitationBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const group = coreGroupObject(context.env);
  const [keyring, { authority }] = await Promise.all([group.keyring(), group.newestMap()]);
  if (keyring === undefined || authority === undefined)
    return context.json({ error: "this system is for one machine: it was started without --listen" }, 409);
  const { role, location = "", forMs } = value;
  const [first = 0, second = 0] = crypto.getRandomValues(new Uint32Array(2));
  const id = [first, second].map((each) => each.toString(16).padStart(8, "0")).join("");
  const expires = Date.now() + forMs;
  const place = location === "" ? {} : { location };
  const invitation = { id, role, ...place, expires, fingerprint: fingerprintOf(authority) };
  return context.json({ token: makeInvitation(invitation, invitationMacOf(keyring.secret)), expires } satisfies InvitationMade);
});
