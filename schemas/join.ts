import { exactOptional, type InferOutput, literal, looseObject, maxLength, number, pipe, string } from "valibot";
import { certificatesSchema } from "./api-answers.ts";
import { membersBodySchema } from "./api-bodies.ts";
import { record, strictRecord, whole } from "./reading.ts";

/**
 * What a newcomer and a join door say to each other (docs/decisions/0047-a-machine-joins-by-an-invitation.md): `POST /join`, with the signature of the newcomer's
 * host in {@link joinProofHeader}.
 */

/** Of the form of requests and answers. */
export const joinForm = 1;

/** Ed25519 over {@link joinProofText}, in base64url: whoever says a host's key has it. */
export const joinProofHeader = "tandem-proof";

/** `bodyHash`: SHA-256 of the body, hex. */
export function joinProofText(bodyHash: string): string {
  return `Tandem join\n${bodyHash}`;
}

/** What is the same in every form, so that two releases can say that they are two. */
export const joinVersionsSchema = looseObject({
  form: number("must be a number"),
  /** Of what cells and gateways say to each other. */
  protocol: number("must be a number"),
  release: pipe(string("must be a text"), maxLength(64, "must be 64 characters at most")),
});

export const joinBodySchema = strictRecord({
  form: literal(joinForm),
  protocol: whole(0),
  release: string("must be a text"),
  /** The newcomer's clock, ms since the epoch. */
  now: whole(0),
  token: string("must be a text"),
  members: membersBodySchema,
});
export type JoinBody = InferOutput<typeof joinBodySchema>;

export const joinAnswerSchema = record({
  certificates: certificatesSchema.entries.certificates,
  keyring: exactOptional(string()),
  map: string(),
  /** Where the door sees the newcomer. */
  from: string(),
});
export type JoinAnswer = InferOutput<typeof joinAnswerSchema>;
