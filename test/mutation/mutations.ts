import { replication } from "./replication-mutations.ts";

/** A rule of the sources, and how it is broken. */
export type Mutation = {
  readonly name: string;
  /** What the sources must do, and the mutant does not. */
  readonly rule: string;
  /** Stands in the sources exactly once, in whichever file. */
  readonly find: string;
  readonly replace: string;
  /** Test files, or folders of them, of which at least one test must fail. */
  readonly tests: readonly string[];
  /** Whether the first seeds of the simulation must find it as well. Not what honest phones never do, nor what takes luck to come upon. */
  readonly isSimulated: boolean;
};

/** RFC 3261 17: transactions. */
const transactions: readonly Mutation[] = [
  {
    name: "no-timer-a",
    rule: "An INVITE over UDP is said again until something comes back (RFC 3261 17.1.1.2, Timer A).",
    find: "machinery.transport.send(tx.flow, tx.octets);\n      tx.retransmitMs *= 2; // Timer A",
    replace: "tx.retransmitMs *= 2;",
    tests: ["test/sip/transaction/invite-client.test.ts"],
    isSimulated: false,
  },
  {
    name: "no-timer-e",
    rule: "Another request over UDP is said again until it is answered (RFC 3261 17.1.2.2, Timer E).",
    find: "machinery.transport.send(tx.flow, tx.octets);\n      tx.retransmitMs = tx.state",
    replace: "tx.retransmitMs = tx.state",
    tests: ["test/sip/transaction/non-invite-client.test.ts"],
    isSimulated: false,
  },
  {
    name: "no-timer-g",
    rule: "A refusal over UDP is said again until its ACK comes (RFC 3261 17.2.1, Timer G).",
    find: "      sayAgain(tx, machinery.transport);\n",
    replace: "",
    tests: ["test/sip/transaction/invite-server.test.ts"],
    isSimulated: false,
  },
  {
    name: "refusal-acknowledged-once",
    rule: "Each copy of a refusal gets an ACK again (RFC 3261 17.1.1.2).",
    find: "if (status >= 300) machinery.transport.send(tx.flow, tx.octets);",
    replace: "",
    tests: ["test/sip/transaction/invite-client.test.ts"],
    isSimulated: false,
  },
  {
    name: "ack-with-a-transaction",
    rule: "The ACK of a 2xx has no transaction: each copy goes on (RFC 3261 17.1.1.2, 16.11).",
    find: "else this.#machinery.user.ack(message, flow, now);",
    replace:
      "else if (key !== undefined && tx === undefined) {\n      this.#servers.set(key, this.#createServer(key, 'ACK', message, flow, nothingHeld()));\n      this.#machinery.user.ack(message, flow, now);\n    }",
    tests: ["test/sip/transaction/transaction-layer.test.ts"],
    isSimulated: true,
  },
  {
    name: "bye-twice",
    rule: "A copy of a BYE, or of any other request, ends at its server transaction (RFC 3261 17.2.2).",
    find: "if (tx !== undefined) return this.#receiveAgain(tx, flow);",
    replace: 'if (tx?.kind === "inviteServer") return this.#receiveAgain(tx, flow);',
    tests: ["test/sip/transaction"],
    isSimulated: false,
  },
  {
    name: "cancel-by-branch-alone",
    rule: "A CANCEL is for the INVITE with its Call-ID and From tag, not for whoever guesses a branch (RFC 3261 9.1).",
    find: "(invite.request !== undefined && !isSameCall(invite.request, message))",
    replace: "false",
    tests: ["test/sip/transaction/transaction-layer.test.ts"],
    isSimulated: false,
  },
  {
    name: "cancel-too-early",
    rule: "A CANCEL waits for the first provisional response (RFC 3261 9.1).",
    find: 'if (branch.state !== "Proceeding" || branch.client === undefined) return;',
    replace: "if (branch.client === undefined) return;",
    tests: ["test/sip/proxy/cancel.test.ts"],
    isSimulated: false,
  },
];

/** RFC 3261 16: the proxy. */
const proxy: readonly Mutation[] = [
  {
    name: "no-max-forwards",
    rule: "A request whose Max-Forwards is used up is answered 483 (RFC 3261 16.3 3).",
    find: "if (maxForwards === 0) return { status: 483, headers: none };",
    replace: "",
    tests: ["test/sip/proxy/request-validation.test.ts"],
    isSimulated: false,
  },
  {
    name: "no-loop-check",
    rule: "A request that comes back unchanged is answered 482 (RFC 3261 16.3 4, RFC 5393).",
    find: "if (parseBranch(branch)?.loop === loop) return Number.POSITIVE_INFINITY;",
    replace: "",
    tests: ["test/sip/proxy/request-validation.test.ts"],
    isSimulated: false,
  },
  {
    name: "no-spiral-bound",
    rule: "How often one request may pass here has a bound (decision 0013).",
    find: "if (request.spirals > spiralsMax) return { status: 482, headers: none };",
    replace: "",
    tests: ["test/sip/proxy/request-validation.test.ts"],
    isSimulated: false,
  },
  {
    name: "no-max-breadth",
    rule: "A request makes no more branches than its Max-Breadth says (RFC 5393 5.3.3).",
    find: "if (digits !== undefined) breadth = Math.min(breadth, Number(digits));",
    replace: "",
    tests: ["test/sip/proxy/breadth.test.ts"],
    isSimulated: false,
  },
  {
    name: "proxy-require-ignored",
    rule: "A request that requires of a proxy what we do not know is answered 420 (RFC 3261 16.3 5).",
    find: "if (message.has(Header.ProxyRequire)) {",
    replace: "if (false) {",
    tests: ["test/sip/proxy/request-validation.test.ts"],
    isSimulated: false,
  },
  {
    name: "foreign-route-followed",
    rule: "Outside of dialogs nobody but the registrar says where a call to a user of ours goes.",
    find: "request.routes.length === 0 || this.#env.followsRoutes(request)",
    replace: "true",
    tests: ["test/actors/exchange/own-addresses.test.ts"],
    isSimulated: false,
  },
  {
    name: "open-relay",
    rule: "Who is none of ours and calls none of ours is not relayed.",
    find: 'return calling.callee === undefined && calling.callerDomain === undefined ? relayingDenied : "goOn";',
    replace: 'return "goOn";',
    tests: ["test/actors/exchange/calls.test.ts"],
    isSimulated: false,
  },
  {
    name: "all-phones-go-on-ringing",
    rule: "When one phone has answered the others are cancelled (RFC 3261 16.7 10).",
    find: "context.cancelReasons = answeredElsewhere;\n    this.#stopAll(context, now);",
    replace: "context.cancelReasons = answeredElsewhere;",
    tests: ["test/sip/proxy/cancel.test.ts", "test/sip/proxy/response-processing.test.ts"],
    isSimulated: false,
  },
  {
    name: "declined-is-not-the-last-word",
    rule: "A 6xx ends the search (RFC 3261 16.7 5).",
    find: "if (status >= 600) this.#decline(context, now);",
    replace: "",
    tests: ["test/sip/proxy/response-processing.test.ts"],
    isSimulated: false,
  },
  {
    name: "any-refusal-is-best",
    rule: "Of several refusals the one of the lowest class goes upstream (RFC 3261 16.7 6).",
    find: "return statusClass * 10 + 10 + rankWithinClass(status);",
    replace: "return statusClass + rankWithinClass(status);",
    tests: ["test/sip/proxy/response-processing.test.ts"],
    isSimulated: false,
  },
  {
    name: "503-goes-upstream",
    rule: "A 503 of a phone does not say that we cannot serve anybody: it becomes a 500 (RFC 3261 16.7 6).",
    find: "if (status === 503) return 500;",
    replace: "",
    tests: ["test/sip/proxy/response-processing.test.ts"],
    isSimulated: false,
  },
  {
    name: "no-timer-c",
    rule: "What rings for longer than Timer C is cancelled (RFC 3261 16.8).",
    find: 'case "Proceeding":\n        return this.cancel(branch, now);',
    replace: 'case "Proceeding":',
    tests: ["test/sip/proxy/cancel.test.ts", "test/sip/proxy/response-processing.test.ts"],
    isSimulated: true,
  },
  {
    name: "unproven-places-without-bound",
    rule: "What nobody has asked for goes to few places (decision 0021).",
    find: "if (context.unproven >= unprovenTargetsMax) return false;",
    replace: "",
    tests: ["test/actors/exchange/unproven-places.test.ts"],
    isSimulated: false,
  },
  {
    name: "no-share-of-a-source",
    rule: "One source may not have more than its share of what waits.",
    find: "ofSource > share * this.#limits.perSource",
    replace: "false",
    tests: ["test/sip/transaction/held-requests.test.ts"],
    isSimulated: false,
  },
  {
    name: "no-share-of-strangers",
    rule: "Strangers leave room for callers who have shown a password.",
    find: "if (this.#ofStrangers + octets > ofStrangers) return false;",
    replace: "",
    tests: ["test/sip/transaction/held-requests.test.ts"],
    isSimulated: false,
  },
];

/** Tokens: routes that describe themselves. */
const tokens: readonly Mutation[] = [
  {
    name: "token-of-any-call",
    rule: "A token is good for its Call-ID only (decision 0012).",
    find: "return `${text}*${callerTag.length}*${callerTag}*${callId}`;",
    replace: "return `${text}*${callerTag.length}*${callerTag}`;",
    tests: ["test/sip/flow/token.test.ts"],
    isSimulated: false,
  },
  {
    name: "token-of-any-tag",
    rule: "A token is good for the caller's tag that it was made for (decision 0012).",
    find: "return `${text}*${callerTag.length}*${callerTag}*${callId}`;",
    replace: "return `${text}*${callId}`;",
    tests: ["test/sip/flow/token.test.ts"],
    isSimulated: false,
  },
  {
    name: "foreign-uri-in-spite-of-the-token",
    rule: "A token of ours that is no good is answered 403, whatever else the Route says (RFC 5626 5.3).",
    find: 'parseError("dialog-token", 403, "Forbidden") : undefined',
    replace: "{} : undefined",
    tests: ["test/sip/proxy/route-preprocessing.test.ts", "test/actors/exchange/tokens.test.ts"],
    isSimulated: false,
  },
  {
    name: "unsigned-via-mark",
    rule: "A response goes on by a Via mark that we have signed, and by no other.",
    find: "return isSignature(text.slice(end + 1), `${branch}*${text.slice(0, end)}`, sign) ? mark : undefined;",
    replace: "return end < 0 || branch + sign('') === '' ? undefined : mark;",
    tests: ["test/sip/flow/token.test.ts"],
    isSimulated: false,
  },
];

/** Who somebody is. */
const callers: readonly Mutation[] = [
  {
    name: "nonce-replay",
    rule: "A count of a nonce is good once (RFC 7616 3.4).",
    find: "if (behind >= nonceWindow || ((uses.seen >>> behind) & 1) === 1) return false;",
    replace: "",
    tests: ["test/sip/auth/nonce.test.ts"],
    isSimulated: false,
  },
  {
    name: "nonce-of-another-address",
    rule: "A nonce is good for the address that was asked (decision 0014).",
    find: "return `nonce ${replica} ${realm.toLowerCase()} ${source} ${id}`;",
    replace: "return `nonce ${replica} ${realm.toLowerCase()} ${source.slice(0, 0)} ${id}`;",
    tests: ["test/sip/auth/nonce.test.ts"],
    isSimulated: false,
  },
  {
    name: "nonce-without-end",
    rule: "A nonce whose time is over is stale (RFC 7616 3.3).",
    find: "nonce === undefined || isOutdated(nonce, now) ||",
    replace: "nonce === undefined ||",
    tests: ["test/sip/auth"],
    isSimulated: false,
  },
  {
    name: "guess-without-brake",
    rule: "Who has sent too many wrong passwords waits before the next one is looked at.",
    find: "const wait = this.#sources.waitMs(source, now);",
    replace: "const wait = 0;",
    tests: ["test/sip/auth/guess-brake.test.ts"],
    isSimulated: false,
  },
  {
    name: "name-of-another",
    rule: "Nobody shows a name of ours that he has not proved (RFC 3325).",
    find: 'return showsAnother(map, request.message, calling.caller) ? notYourName : "goOn";',
    replace: 'return "goOn";',
    tests: ["test/actors/exchange/identity.test.ts"],
    isSimulated: false,
  },
  {
    name: "credentials-told",
    rule: "Credentials for our realms end here (RFC 3261 22.3).",
    find: "if (foreign.length === message.values(id).length) continue;",
    replace: "continue;",
    tests: ["test/sip/proxy/own-realms.test.ts"],
    isSimulated: false,
  },
];

/** RFC 3261 10: the registrar, and how records merge. */
const records: readonly Mutation[] = [
  {
    name: "late-register-resurrects",
    rule: "A REGISTER with a lower CSeq of the same Call-ID does not bring back what a later one took off (RFC 3261 10.3 7).",
    find: "if (this.#cSeq < order.cSeq || !isAsLeft) return false;",
    replace: "if (this.#cSeq === order.cSeq && !isAsLeft) return false;",
    tests: ["test/sip/registrar/register.test.ts"],
    isSimulated: false,
  },
  {
    name: "late-binding-wins",
    rule: "Of two records of one Call-ID the one with the higher CSeq wins, whatever their versions are (RFC 3261 10.3).",
    find: "if (bySequence !== 0) return bySequence;",
    replace: "",
    tests: ["test/sip/record/merge.test.ts"],
    isSimulated: false,
  },
  {
    name: "older-version-wins",
    rule: "Of two versions of a call's record the later one counts.",
    find: "return compareVersions(record.version, present.version) > 0;",
    replace: "return compareVersions(record.version, present.version) < 0;",
    tests: ["test/sip/record/merge.test.ts"],
    isSimulated: false,
  },
  {
    name: "call-over-comes-back",
    rule: "A call that is over stays over, whatever version comes later.",
    find: "const isLater = isOver === (record.value === undefined) ? isLaterVersion(record, held.record) : !isOver;",
    replace: "const isLater = isLaterVersion(record, held.record) && isOver !== undefined;",
    tests: ["test/sip/record/merge.test.ts"],
    isSimulated: false,
  },
  {
    name: "tombstone-forgotten",
    rule: "The end of a record is remembered until its time is over and the peer has it.",
    find: "if (record.until <= now && !this.#feed.isMissedEnd(entry)) this.#forget(entry);",
    replace: "this.#forget(entry);",
    tests: ["test/sip/record/record-store.test.ts"],
    isSimulated: true,
  },
  {
    name: "expired-binding-is-called",
    rule: "A binding that has expired is no target (RFC 3261 10.3).",
    find: "value.expiresAt > now && isUsable(value, isSecure)",
    replace: "isUsable(value, isSecure)",
    tests: ["test/sip/registrar/targets.test.ts"],
    isSimulated: false,
  },
  {
    name: "clock-behind-its-peer",
    rule: "A version that is made after another was seen is later than that, whatever the clocks say.",
    find: "if (version > this.#observed && isVersion(version)) this.#observed = version;",
    replace: "",
    tests: ["test/cluster/time", "test/sip/record", "test/actors/exchange/replication.test.ts"],
    isSimulated: false,
  },
  {
    name: "invite-outlived-by-a-clock",
    rule: "The record of an INVITE in hand does not end because the wall clock is set forward (decision 0027).",
    find: "this.#renewAged(now);\n    if (this.#dirty.size === 0) return;",
    replace: "if (this.#dirty.size === 0) return;",
    tests: ["test/actors/exchange/invite-keeper.test.ts"],
    isSimulated: false,
  },
  {
    name: "invite-aged-by-a-clock",
    rule: "An INVITE of the other replica is no older because the wall clock is set forward (decision 0027).",
    find: "(madeAt < this.#steppedUntil ? this.#steppedMs : 0)",
    replace: "0",
    tests: ["test/actors/exchange/invite-keeper.test.ts"],
    isSimulated: false,
  },
];

/** When something dies. */
const failures: readonly Mutation[] = [
  {
    name: "takeover-is-not-told",
    rule: "What moves to the other replica goes behind a record `takeover`.",
    find: "this.#give(to, takeoverRecord(now), now);",
    replace: "",
    tests: ["test/cluster/backhaul/replica-ways.test.ts"],
    isSimulated: true,
  },
  {
    name: "takeover-is-ignored",
    rule: "A replica that is told of a takeover adopts the INVITEs that ring.",
    find: "this.#parts.takeovers.takeOver(access, now);",
    replace: "",
    tests: ["test/actors/exchange/replication.test.ts", "test/actors/exchange/failover.test.ts"],
    isSimulated: true,
  },
  {
    name: "lost-with-its-backhaul",
    rule: "What a lost backhaul had not got acknowledged goes to the other replica.",
    find: "else this.#hold(record, now);",
    replace: "",
    tests: ["test/cluster/backhaul/replica-ways.test.ts"],
    isSimulated: false,
  },
  {
    name: "no-fence",
    rule: "A cell that can reach nobody registers nobody.",
    find: "if (this.#isFenced) return answered(",
    replace: "if (false) return answered(",
    tests: ["test/actors/exchange/register-requests.test.ts"],
    isSimulated: false,
  },
  {
    name: "fence-is-not-judged",
    rule: "A cell that every other member has lost is fenced.",
    find: "return isAlone ? reachesNone : others.length > 0 && areLost(gateways, now);",
    replace: "return isAlone && reachesNone && areLost([], now);",
    tests: ["test/cluster/group/core-group.test.ts"],
    isSimulated: false,
  },
  {
    name: "late-frames-are-delivered",
    rule: "What comes when nobody wants it any more is not delivered (decision 0007).",
    find: "return until !== undefined && now > until;",
    replace: "return until === -1 && now > until;",
    tests: ["test/cluster/time/far-clock.test.ts"],
    isSimulated: false,
  },
  {
    name: "asked-again-though-nobody-knows",
    rule: "A frame that may have been taken over a WebSocket is not asked again by a request (decision 0045).",
    find: "this.#end(endedError, false);",
    replace: 'this.#end("untaken", false);',
    tests: ["test/actors/frame-socket.test.ts"],
    isSimulated: false,
  },
  {
    name: "leaves-what-it-owes",
    rule: "Who leaves a WebSocket between line and exchange answers first what he has taken (decision 0045).",
    find: 'this.#state !== "leaving" || this.#owed > 0 || this.#questions.size > 0',
    replace: 'this.#state !== "leaving" || this.#questions.size > 0',
    tests: ["test/actors/frame-socket.test.ts"],
    isSimulated: false,
  },
  {
    name: "goes-on-where-no-answer-came",
    rule: "A WebSocket between line and exchange on which an answer was missed is asked nothing more (decision 0045).",
    find: "if (overdue.length > 0 || now >= this.#spareAt) this.leave();",
    replace: "if (now >= this.#spareAt) this.leave();",
    tests: ["test/actors/frame-socket.test.ts"],
    isSimulated: false,
  },
  {
    name: "late-calls-are-made",
    rule: "Of what comes too late new calls are dropped (decision 0007).",
    find: "if (kind === RecordKind.message || kind === RecordKind.send) return !isNewRequest(octets);",
    replace: "if (kind === RecordKind.message || kind === RecordKind.send) return true;",
    tests: ["test/cluster/backhaul/backlog.test.ts"],
    isSimulated: false,
  },
  {
    name: "repeated-invite-is-a-new-call",
    rule: "An INVITE that the other replica has in hand, or has ended, is not a new call here.",
    find: "if (record === undefined && !hasEnded) return false;",
    replace: "if (record === undefined || tx.key !== '') return false;",
    tests: ["test/actors/exchange/replication.test.ts", "test/actors/exchange/failover.test.ts"],
    isSimulated: false,
  },
  {
    name: "line-deaf-to-a-lost-replica",
    rule: "A line gives what answers a replica to that one, though it could not be reached a moment ago.",
    find: "if (hasLost) this.#heard(octets);",
    replace: "",
    tests: ["test/actors/line/line.test.ts"],
    isSimulated: false,
  },
  {
    name: "line-forgets-what-is-answered",
    rule: "A line says again what the exchange of its cell has answered and lost (decision 0031).",
    find: "isAnew ? this.#forget(settled) : []",
    replace: "[]",
    tests: ["test/actors/line/unkept.test.ts"],
    isSimulated: false,
  },
  {
    name: "kept-before-its-commit",
    rule: "A line of the cell is told what is kept when the pair, or the disk, has what it changed (decision 0031).",
    find: "if (isOwn) events.follow(now, this.#kept.take(access, frame.records));",
    replace: "if (isOwn) this.#kept.take(access, frame.records)();",
    tests: ["test/actors/exchange/exchange-actor.test.ts"],
    isSimulated: false,
  },
  {
    name: "dead-flow-is-not-left",
    rule: "What was written to a connection that has ended is tried another way at once.",
    find: "this.#parts.transactions.flowClosed(flow, now);",
    replace: "",
    tests: ["test/actors/exchange/held.test.ts"],
    isSimulated: false,
  },
];

export const mutations: readonly Mutation[] = [...transactions, ...proxy, ...tokens, ...callers, ...records, ...replication, ...failures];
