import { Hono } from "hono";
import { secretOctets } from "../../cluster/authority/limits.ts";
import type { FormerSecret, SecretPlace } from "../../cluster/authority/keyring.ts";
import type { Secret } from "../../schemas/api-answers.ts";
import { noKeyringText, type SecretState } from "../core-group/keyring-keeper.ts";
import { coreGroupObject } from "../environment.ts";
import { settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";

/** `/api/secret`: what tokens and nonces are signed with. Nobody is told a secret here. Any cell draws the next one. */
export const secretApi = new Hono<Signed>();

secretApi.use(signed(() => "api", settingsOctetsMax));

secretApi.get("/", async (context) => {
  const state = await coreGroupObject(context.env).secretState();
  return state === undefined ? context.json({ error: noKeyringText }, 409) : context.json(shown(state));
});

secretApi.put("/", async (context) => {
  const group = coreGroupObject(context.env);
  const { refused } = await group.changeSecret(newSecret());
  const state = await group.secretState();
  if (refused !== undefined || state === undefined) return context.json({ error: refused ?? noKeyringText }, 409);
  return context.json(shown(state));
});

function newSecret(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(secretOctets)), (octet) => octet.toString(16).padStart(2, "0")).join("");
}

function shown({ keyring, waitsFor }: SecretState): Secret {
  const { next, former = [] } = keyring;
  return {
    signing: placeOf(keyring),
    ...(next === undefined ? {} : { next: placeOf(next) }),
    former: former.map((each: FormerSecret) => ({ ...placeOf(each), until: new Date(each.until).toISOString() })),
    waitsFor,
  };
}

function placeOf({ version, writer }: SecretPlace): SecretPlace {
  return { version, writer };
}
