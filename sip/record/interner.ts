import { internedTextsMax } from "../limits.ts";
import { noPath } from "./binding-record.ts";
import type { StateRecord } from "./state-record.ts";
import type { Binding, Dialog, DialogSide } from "./values.ts";

/**
 * Makes a record's texts its own and keeps one copy of what many records say. A text cut out of a message holds on to what it was cut
 * from (V8 shares the characters), and 100 000 bindings have a handful of transports and user agents.
 */
export class Interner {
  #texts = new Map<string, string>();

  /** How many shared texts there are. */
  get size(): number {
    return this.#texts.size;
  }

  /**
   * The record with texts of its own. `earlier`: the record of the same key until now, whose equal texts are used again. `isCut`: its texts
   * may be cut out of a message; those of JSON are their own already.
   */
  own(record: StateRecord, earlier: StateRecord | undefined, isCut: boolean): StateRecord {
    if (!isCut && earlier === undefined) return this.#sharing(record);
    // Keys are put together and never cut out of anything: see keys.ts.
    const key = earlier?.key ?? record.key;
    const { version } = record;
    if (record.value === undefined) return { ...record, key, callId: detached(record.callId) };
    if (record.kind === "binding") {
      return { kind: "binding", key, version, value: this.#binding(record.value, earlier?.kind === "binding" ? earlier.value : undefined) };
    }
    if (record.kind === "dialog") {
      return { kind: "dialog", key, version, value: ownDialog(record.value, earlier?.kind === "dialog" ? earlier.value : undefined) };
    }
    return record;
  }

  /** Reading 5000 records back must be quick: nothing is copied but what is shared. */
  #sharing(record: StateRecord): StateRecord {
    if (record.kind !== "binding" || record.value === undefined) return record;
    const transport = this.#shared(record.value.transport);
    const userAgent = this.#shared(record.value.userAgent);
    return { kind: "binding", key: record.key, version: record.version, value: { ...record.value, transport, userAgent } };
  }

  #binding(binding: Binding, earlier: Binding | undefined): Binding {
    const own: Binding = {
      addressOfRecord: again(binding.addressOfRecord, earlier?.addressOfRecord),
      contact: again(binding.contact, earlier?.contact),
      parameters: again(binding.parameters, earlier?.parameters),
      q: binding.q,
      callId: again(binding.callId, earlier?.callId),
      cSeq: binding.cSeq,
      registeredAt: binding.registeredAt,
      expiresAt: binding.expiresAt,
      instanceId: again(binding.instanceId, earlier?.instanceId),
      regId: binding.regId,
      flow: again(binding.flow, earlier?.flow),
      transport: this.#shared(binding.transport),
      received: again(binding.received, earlier?.received),
      userAgent: this.#shared(binding.userAgent),
      path: binding.path.length === 0 ? noPath : binding.path.map((route, index) => again(route, earlier?.path[index])),
    };
    const { formerFlows, provenAt } = binding;
    if (formerFlows === undefined && provenAt === undefined) return own;
    return {
      ...own,
      ...(formerFlows === undefined ? {} : { formerFlows: formerFlows.map((flow, index) => again(flow, earlier?.formerFlows?.[index])) }),
      ...(provenAt === undefined ? {} : { provenAt: again(provenAt, earlier?.provenAt) }),
    };
  }

  /** One copy of a text that many records have. */
  #shared(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size >= internedTextsMax) this.#texts = new Map();
    const own = detached(text);
    this.#texts.set(own, own);
    return own;
  }
}

function ownDialog(dialog: Dialog, earlier: Dialog | undefined): Dialog {
  const own: Dialog = {
    callId: again(dialog.callId, earlier?.callId),
    caller: ownSide(dialog.caller, earlier?.caller),
    callee: ownSide(dialog.callee, earlier?.callee),
    state: dialog.state,
    createdAt: dialog.createdAt,
    expiresAt: dialog.expiresAt,
  };
  const { source } = dialog;
  return source === undefined ? own : { ...own, source: again(source, earlier?.source) };
}

function ownSide(side: DialogSide, earlier: DialogSide | undefined): DialogSide {
  if (side === earlier) return side;
  const own = {
    tag: again(side.tag, earlier?.tag),
    addressOfRecord: again(side.addressOfRecord, earlier?.addressOfRecord),
    contact: again(side.contact, earlier?.contact),
    flow: again(side.flow, earlier?.flow),
    instanceId: again(side.instanceId, earlier?.instanceId),
    cSeq: side.cSeq,
    version: side.version,
  };
  const { name, routes } = side;
  if (name === undefined && routes === undefined) return own;
  return {
    ...own,
    ...(name === undefined ? {} : { name: again(name, earlier?.name) }),
    ...(routes === undefined ? {} : { routes: routes.map((route, index) => again(route, earlier?.routes?.[index])) }),
  };
}

function again(text: string, earlier: string | undefined): string {
  return text === earlier ? earlier : detached(text);
}

/** A copy of the text in characters of its own: V8 shares those of a longer text with what it was cut from; join() makes one flat text. */
export function detached(text: string): string {
  return text.length < 13 ? text : [text.slice(0, 1), text.slice(1)].join("");
}
