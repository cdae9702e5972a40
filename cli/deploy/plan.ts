import { createHash } from "node:crypto";
import { quoted } from "../shown-path.ts";
import { boundTo, type Cell, type CloudCell, isOnCloudflare, type System } from "./system.ts";
import type { WranglerText } from "./wrangler-text.ts";

/** What is to be done, in which order, and as which commands: from what is to be, and what is there. */

/** What is known of a cell that answers. */
export type KnownCell = {
  /** Which code its Worker runs; undefined: nobody knows. */
  readonly code: string | undefined;
  /** It or its objects run other code than one. */
  readonly isMixed: boolean;
  readonly isDraining: boolean;
};

/** What is there now. Cells that do not answer are not there. */
export type Facts = {
  readonly cells: ReadonlyMap<string, KnownCell>;
  readonly hasSubscribers: boolean;
  /** The secret is in its file. */
  readonly hasSecret: boolean;
};

/** Before anything was deployed, as a dry run takes it: nobody is asked. */
export const nothingThere: Facts = { cells: new Map(), hasSubscribers: false, hasSecret: false };

/** Files that the commands of a plan name, as they are typed. */
export type PlanFiles = {
  /** Of the secret, and the same as wrangler takes it. */
  readonly secret: string;
  readonly secrets: string;
  /** wrangler.toml: as it is in the end, and without bindings. */
  readonly wrangler: string;
  readonly first: string;
};

/** The code of each cell, as `wrangler deploy --tag` names it: with its bindings, and without. */
export type Tags = { readonly last: ReadonlyMap<string, string>; readonly first: ReadonlyMap<string, string> };

export type Step =
  | { readonly kind: "make the secret" }
  | { readonly kind: "write the secrets" }
  | {
      readonly kind: "deploy";
      readonly cell: CloudCell;
      readonly tag: string;
      /** Without bindings: not all that it is bound to is there. */
      readonly isFirst: boolean;
      /** It is not there yet, and is told the secret. */
      readonly isNew: boolean;
    }
  | { readonly kind: "await"; readonly cell: Cell }
  | { readonly kind: "drain"; readonly cell: CloudCell; readonly by: string }
  | { readonly kind: "undrain"; readonly cell: CloudCell; readonly tag: string; readonly by: string }
  | { readonly kind: "subscribe"; readonly addressOfRecord: string; readonly by: string }
  | { readonly kind: "forget the secrets" };

/** What is deployed is named for the script and for all that the file says of the cell: the same name is the same cell. */
export function tagsOf(code: string, last: WranglerText, first: WranglerText): Tags {
  const named = ({ text, environments }: WranglerText): ReadonlyMap<string, string> => {
    const top = text.slice(0, text.indexOf("\n[env.")).split("\n").slice(2).join("\n");
    return new Map(
      Array.from(environments, ([id, own]) => [id, createHash("sha256").update(`${code}\n${top}\n${own}`).digest("hex").slice(0, 12)]),
    );
  };
  return { last: named(last), first: named(first) };
}

/** The steps from what is there to what is to be: none where it is that already. Whatever was stopped on the way goes on from there. */
export function planOf(system: System, { last, first }: Tags, facts: Facts): readonly Step[] {
  const cloud = system.cells.filter(isOnCloudflare);
  const missing = cloud.filter(({ id }) => !facts.cells.has(id));
  const there = new Set(facts.cells.keys());
  /** What each runs once it is there. */
  const codes = new Map(Array.from(facts.cells, ([id, { code }]) => [id, code]));
  const steps: Step[] = [];
  if (!facts.hasSecret) steps.push({ kind: "make the secret" });
  if (missing.length > 0) steps.push({ kind: "write the secrets" });
  for (const cell of missing) {
    const isFirst = boundTo(cell, system).some(({ id }) => !there.has(id));
    const tag = (isFirst ? first : last).get(cell.id) ?? "";
    steps.push({ kind: "deploy", cell, tag, isFirst, isNew: true }, { kind: "await", cell });
    there.add(cell.id);
    codes.set(cell.id, tag);
  }
  if (missing.length > 0) steps.push({ kind: "forget the secrets" });
  for (const cell of system.cells) {
    if (!isOnCloudflare(cell) && !facts.cells.has(cell.id)) steps.push({ kind: "await", cell });
  }
  // One that is out of service comes first: until it serves again, no other one goes.
  const isDraining = ({ id }: Cell): boolean => facts.cells.get(id)?.isDraining === true;
  for (const cell of [...cloud.filter(isDraining), ...cloud.filter((each) => !isDraining(each))])
    steps.push(...upgradeOf(system, cell, last.get(cell.id) ?? "", codes.get(cell.id), facts.cells.get(cell.id)));
  if (system.firstSubscriber !== undefined && !facts.hasSubscribers)
    steps.push({ kind: "subscribe", addressOfRecord: system.firstSubscriber, by: system.cells[0]?.url ?? "" });
  return steps;
}

/** A cell that is there gets its code while another one serves. */
function upgradeOf(system: System, cell: CloudCell, tag: string, code: string | undefined, known: KnownCell | undefined): readonly Step[] {
  // The one that is replaced may not answer for a moment.
  const other = system.cells.find(({ id }) => id !== cell.id);
  const by = other?.url ?? cell.url;
  const undrain: Step = { kind: "undrain", cell, tag, by };
  if (code === tag) return known?.isDraining === true || known?.isMixed === true ? [undrain] : [];
  const deploy: Step = { kind: "deploy", cell, tag, isFirst: false, isNew: false };
  return other === undefined ? [deploy, undrain] : [{ kind: "drain", cell, by }, deploy, undrain];
}

/** The command of a step as a person types it; undefined: there is none, it is waited. */
export function commandOf(step: Step, { secret, secrets, wrangler, first }: PlanFiles, hasOtherAccounts: boolean): string | undefined {
  switch (step.kind) {
    case "make the secret":
      return `(umask 077; openssl rand -hex 32 > ${quoted(secret)})`;
    case "write the secrets":
      return `(umask 077; printf '{"TANDEM_SECRET":"%s"}' "$(cat ${quoted(secret)})" > ${quoted(secrets)})`;
    case "deploy": {
      const token = tokenNameOf(step.cell, hasOtherAccounts);
      const account = token === undefined ? "" : `CLOUDFLARE_API_TOKEN="$${token}" `;
      const file = step.isFirst ? ` --config ${quoted(first)}` : wrangler === "wrangler.toml" ? "" : ` --config ${quoted(wrangler)}`;
      return `${account}npx wrangler deploy --env ${step.cell.id} --tag ${step.tag}${file}${step.isNew ? ` --secrets-file ${quoted(secrets)}` : ""}`;
    }
    case "await":
      return undefined;
    case "drain":
      return `npx tandem drain ${step.cell.id} --url ${step.by}`;
    case "undrain":
      return `npx tandem undrain ${step.cell.id} --code ${step.tag} --url ${step.by}`;
    case "subscribe":
      return `npx tandem subscriber add ${quoted(step.addressOfRecord)} --password - --url ${step.by}`;
    case "forget the secrets":
      return `rm ${quoted(secrets)}`;
    default:
      throw new Error(step satisfies never);
  }
}

/** What a step does, in a few words. */
export function purposeOf(step: Step): string {
  switch (step.kind) {
    case "make the secret":
      return "the secret of the system";
    case "write the secrets":
      return "the secret, as wrangler takes it";
    case "deploy":
      return step.isFirst ? `cell ${step.cell.id}, without bindings yet` : `cell ${step.cell.id}`;
    case "await":
      return step.cell.kind === "blade"
        ? `cell ${step.cell.id} runs on a machine of yours, and answers at ${step.cell.url}`
        : `cell ${step.cell.id} answers at ${step.cell.url}`;
    case "drain":
      return `cell ${step.cell.id} out of service, when all others are up`;
    case "undrain":
      return `cell ${step.cell.id} in service, when all its objects run that code`;
    case "subscribe":
      return "the first subscriber";
    case "forget the secrets":
      return "nobody needs it any more";
    default:
      throw new Error(step satisfies never);
  }
}

/** The variable with the token of a cell's account; undefined: there is one account, and wrangler's own variable or login does. */
export function tokenNameOf({ account }: Pick<CloudCell, "account">, hasOtherAccounts: boolean): string | undefined {
  return account === undefined || !hasOtherAccounts ? undefined : `CLOUDFLARE_API_TOKEN_${account.name.toUpperCase()}`;
}

/** Whether the cells are of more than one account. */
export function hasAccounts({ cells }: Pick<System, "cells">): boolean {
  return new Set(cells.filter(isOnCloudflare).map(({ account }) => account?.id)).size > 1;
}
