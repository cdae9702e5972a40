import * as fc from "fast-check";
import { callRank } from "../../../sip/record/call-record.ts";
import { dialogKey } from "../../../sip/record/dialog-record.ts";
import type { BindingRecord, LiveRecord, StateRecord } from "../../../sip/record/state-record.ts";
import type { Binding, Call, Dialog, DialogSide, Invite } from "../../../sip/record/values.ts";
import type { Version } from "../../../sip/record/version.ts";
import { makeVersion } from "./make-version.ts";

export function version(ms: number, cell = "a", counter = 0): Version {
  return makeVersion({ ms, counter, cell });
}

export function binding(changes: Partial<Binding> = {}): Binding {
  return {
    addressOfRecord: "bob@example.test",
    contact: "sip:bob@192.0.2.4",
    parameters: "",
    q: undefined,
    callId: "call-1",
    cSeq: 1,
    registeredAt: 1_000,
    expiresAt: 601_000,
    instanceId: "",
    regId: 0,
    flow: "g1~u0..c000020413c4",
    transport: "UDP",
    received: "192.0.2.4:5060",
    userAgent: "phone/1",
    path: [],
    ...changes,
  };
}

export function bindingRecord(
  at: Version,
  changes: Partial<Binding> = {},
  key = "bob@example.test sip:bob@192.0.2.4",
): LiveRecord<"binding"> {
  return { kind: "binding", key, version: at, value: binding(changes) };
}

export function bindingTombstone(at: Version, callId: string, cSeq: number, until = 10_000_000): BindingRecord {
  return { kind: "binding", key: "bob@example.test sip:bob@192.0.2.4", version: at, value: undefined, until, callId, cSeq };
}

export function side(tag: string, changes: Partial<DialogSide> = {}): DialogSide {
  return {
    tag,
    addressOfRecord: `${tag}@example.test`,
    contact: `sip:${tag}@192.0.2.1`,
    flow: "",
    instanceId: "",
    cSeq: -1,
    version: version(1),
    ...changes,
  };
}

export function dialogRecord(at: Version, changes: Partial<Dialog> = {}): LiveRecord<"dialog"> {
  return {
    kind: "dialog",
    key: dialogKey("d1", "alice", "bob"),
    version: at,
    value: {
      callId: "d1",
      caller: side("alice"),
      callee: side("bob"),
      state: "confirmed",
      createdAt: 1_000,
      expiresAt: 1_000_000,
      ...changes,
    },
  };
}

export const invite: Invite = {
  expiresAt: 99,
  request: "INVITE",
  flow: "g1~f",
  responseFlow: "g1~f",
  lastStatus: 100,
  lastResponse: undefined,
  recordRoute: true,
  waiting: [],
  branches: [],
  attempts: 1,
  best: undefined,
  challenges: [],
  cancelled: false,
  cancelReasons: [],
  declined: false,
};

export function callRecord(at: Version, changes: Partial<Call> = {}): LiveRecord<"call"> {
  return {
    kind: "call",
    key: "d1 alice",
    version: at,
    value: {
      rank: callRank("heard", 0),
      caller: "alice@example.test",
      callee: "bob@example.test",
      answeredBy: "sip:bob@192.0.2.4",
      start: 1_000,
      ring: 1_200,
      answer: 3_000,
      end: 63_000,
      status: 200,
      cause: "callerHungUp",
      cells: ["a"],
      gateways: ["g1"],
      failovers: 0,
      ...changes,
    },
  };
}

/** Records of a few keys by two cells: few Call-IDs, CSeqs and times, so that they meet. Each version names one change. */
export const recordsArbitrary: fc.Arbitrary<StateRecord[]> = fc
  .uniqueArray(
    fc.record({
      ms: fc.integer({ min: 1, max: 40 }),
      cell: fc.constantFrom("a", "b"),
      shape: fc.constantFrom("binding", "unbinding", "subscriber", "unsubscriber", "dialog", "end", "invite", "call", "collected"),
      key: fc.constantFrom("bob@example.test one", "bob@example.test two"),
      callId: fc.constantFrom("x", "y", "z"),
      cSeq: fc.integer({ min: 1, max: 4 }),
      other: fc.integer({ min: -1, max: 3 }),
      isConfirmed: fc.boolean(),
    }),
    { selector: ({ ms, cell }) => `${ms} ${cell}`, maxLength: 14 },
  )
  .map((drafts) =>
    drafts.map(({ ms, cell, shape, key, callId, cSeq, other, isConfirmed }): StateRecord => {
      const at = version(ms, cell);
      const gone = { key, version: at, value: undefined, until: 1_000 + ms, callId, cSeq };
      switch (shape) {
        case "binding":
          return { kind: "binding", key, version: at, value: binding({ callId, cSeq, registeredAt: ms, flow: cell }) };
        case "unbinding":
          return { ...gone, kind: "binding" };
        case "subscriber":
          return { kind: "subscriber", key, version: at, value: { ha1Md5: at, ha1Sha256: "", ha1bMd5: "", ha1bSha256: "" } };
        case "unsubscriber":
          return { ...gone, kind: "subscriber" };
        case "dialog":
          return {
            kind: "dialog",
            key,
            version: at,
            value: {
              callId: "d",
              // A stranger's every other time, with Contacts and routes of other lengths.
              caller: side("alice", { cSeq, version: at, flow: at, ...(ms % 2 === 0 ? { addressOfRecord: "" } : {}) }),
              callee: side("bob", {
                cSeq: other,
                version: at,
                flow: at,
                contact: "x".repeat(ms),
                ...(ms % 3 === 0 ? { routes: [at, at] } : {}),
              }),
              state: isConfirmed ? "confirmed" : "answered",
              createdAt: ms,
              expiresAt: 1_000 + ms,
              ...(ms % 5 === 0 ? {} : { source: `source-${cell}` }),
              ...(ms % 7 === 0 ? {} : { call: { start: cSeq, cells: [cell], gateways: ["g1"], failovers: ms % 2, caller: at } }),
            },
          };
        case "call":
          return { ...callRecord(at, { rank: cSeq, start: ms, failovers: ms % 2, cells: [cell] }), key };
        case "collected":
          return { ...gone, kind: "call" };
        case "end":
          return { ...gone, kind: "dialog" };
        case "invite":
          return {
            kind: "invite",
            key,
            version: at,
            value: { ...invite, flow: at, responseFlow: at },
          };
      }
    }),
  );
