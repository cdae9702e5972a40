/**
 * Every limit of the core, each with its reason. A limit without a hostile test is a wish: see test/sip/limits.test.ts and the
 * tests of the part that enforces it. Units come last in the names.
 */

/** A whole SIP message. UDP cannot carry more than 65 535 octets; the largest WebRTC INVITEs seen are 7 KB. Over: 513. */
export const messageOctetsMax = 64 * 1024;
/** Header lines of one message. A call through 20 proxies has about 60. Over: 400. */
export const headersMax = 256;
/** The start line, its URI included (RFC 3261 leaves it open; 414 Request-URI Too Long). */
export const startLineOctetsMax = 4 * 1024;
/** One header field with its continuation lines. STIR Identity and long Record-Route lists stay below 8 KiB. Over: 400. */
export const headerOctetsMax = 16 * 1024;
/** Values in one comma list or of one header over all lines: Via, Route, Contact. Bounds work per message. Over: 400. */
export const listValuesMax = 128;
/** CSeq must be below 2^31 (RFC 3261 8.1.1.5). */
export const cSeqMax = 2 ** 31 - 1;
/** Max-Forwards is 0..255 (RFC 3261 20.22). */
export const maxForwardsMax = 255;
/** What we insert when a request has none (RFC 3261 16.6 3). */
export const maxForwardsDefault = 70;

/** Lengths of what users provision or phones send as identity; over: 400 or 403. */
export const usernameOctetsMax = 64;
export const domainOctetsMax = 64;
export const addressOfRecordOctetsMax = 256;
/** Addresses in a display name that are looked at, each for some microseconds; a name with more is refused as if it showed another's. */
export const addressesInNameMax = 8;
/** Percent escapes within percent escapes of a name that are undone (`%2540`), each a pass over it. No phone is known that undoes more than two. */
export const escapesDepthMax = 4;
/**
 * A Contact's URI: one with push parameters has 200 to 500 octets (RFC 8599), with a web push endpoint more. Over: 400 to a REGISTER. A dialog has none then,
 * and goes by the flows in its token.
 */
export const contactOctetsMax = 1_024;

/** RFC 3261 10: bindings of one address-of-record, over all its phones. Over: 403. */
export const contactsPerAddressOfRecordMax = 12;
export const expiresSecondsMin = 60;
export const expiresSecondsDefault = 600;
export const expiresSecondsMax = 3600;

/**
 * RFC 3261 18.1.1: what is larger than 1300 octets does not go over UDP to a phone that has registered over a connection as well: datagrams of several
 * fragments get lost in NATs. What we add to a request, Via and Record-Route, is 300.
 */
export const datagramRequestOctetsMax: number = 1_300 - 300;

/** RFC 3261 17.1.1.1: estimate of the round trip. */
export const t1Ms = 500;
export const t2Ms = 4_000;
export const t4Ms = 5_000;
/**
 * How long a caller who has hung up waits for phones that do not answer the CANCEL: one repetition of it. Then 487 is ours. The same for a call that one
 * phone has declined for all (6xx). Phones go on being cancelled for 64*T1 (RFC 3261 9.1).
 */
export const cancelAnswerMs: number = 2 * t1Ms;
/** RFC 3261 16.6 11: Timer C must be greater than three minutes. */
export const timerCMs = 181_000;

/**
 * Provisional responses of one branch that are forwarded at once, and one more a second: a phone says few, a queue one every some seconds. More cost us, and
 * whoever may have been forged as the caller.
 */
export const provisionalsMax = 64;
export const provisionalMs = 1_000;

/** Branches of one response context: every binding of an address-of-record can ring. */
export const branchesMax = 12;
/** Client transactions that one request may start, over all addresses and flows of its targets. */
export const attemptsMax: number = 3 * branchesMax;
/**
 * Of these, those that go over UDP to a Contact that is not where its REGISTER came from, and where nobody has ever answered: the user may have named
 * somebody else's address. Each is said once there, so a datagram brings four. The latest registered go first; nobody has more such phones that are new.
 */
export const unprovenTargetsMax = 4;
/** RFC 5393 5.3.3: branches that one request may have at once, over all proxies. The recommended value. None left: 440. */
export const breadthMax = 60;
/**
 * How often a request may come back that has been forwarded here (RFC 3261 16.3 4: a spiral; RFC 5393), by the signed Vias of this cluster in it,
 * whatever its Request-URI and Routes have become. Two users who are forwarded abroad and back are two. Over: 482.
 */
export const spiralsMax = 2;
/** What one that has come back may start, each time. */
export const spiralAttemptsMax = 4;
/** What one request that is received may make us send in all, over all exchanges and rounds; CANCELs and retransmissions are not counted. */
export const requestsCausedMax: number = attemptsMax * (1 + spiralAttemptsMax + spiralAttemptsMax ** spiralsMax);
/** More ways that one request may come by while it is being answered: a client has a few servers to ask. Over: 482. */
export const joinedMax = 4;
/** How long after its start, or a takeover, a replica may be asked what the other one has forwarded already: a transaction's lifetime. */
export const repeatedMs = 32_000;
/**
 * Server transactions that one exchange holds; a new request over it gets 503 with Retry-After. A finished one is about a kilobyte, and Cloudflare has
 * 128 MB for an object. Finished ones over UDP count for 32 s (Timer J), two a call: this is 1800 calls/s.
 */
export const transactionsMax = 120_000;
/** Above this share of them those over UDP that finish are forgotten after {@link t4Ms}: by then their clients have the answer, or have asked again three times. */
export const transactionsFewShare = 0.5;
/**
 * Octets of requests that wait for a final response, in one exchange: an unanswered INVITE is 9.7 KB, with its transactions, its context and its record,
 * so these are 4000. With as many finished transactions as there may be the object stays below Cloudflare's 128 MB. Over: 503 with Retry-After, stateless.
 */
export const heldOctetsMax = 40 * 1024 * 1024;
/** Of one source, an address or an IPv6 /64: a thousand calls that ring at once, more than an office behind one address has. */
export const heldOctetsPerSourceMax: number = heldOctetsMax / 4;
/** For one address-of-record: 250 calls that ring at once, a busy queue. */
export const heldOctetsPerCalleeMax: number = heldOctetsMax / 16;
/**
 * Of a callee's share, for all who have shown no password: who has is called through whatever strangers do. And for one source of theirs: 60 calls that
 * ring at once, what a carrier brings to a queue; two sources are needed to keep other strangers from one callee.
 */
export const heldStrangersShare = 0.5;
export const heldStrangerShare: number = heldStrangersShare / 2;
/** Of all who have shown no password: the rest is for subscribers, whatever strangers send from however many addresses. */
export const heldOctetsOfStrangersMax: number = heldOctetsMax / 2;
/** What an INVITE and another request are, without the octets of their messages: measured with test/system/memory.ts. */
export const heldInviteOctets = 6 * 1024;
export const heldRequestOctets = 2 * 1024;
/**
 * Octets that a source which has proved nothing gets back at most for each octet of a datagram that is refused (RFC 3261 26.3.2.4): it may be
 * forged, and we no amplifier. A challenge to the smallest INVITE that phones send is one and a half times as long.
 */
export const unprovenAnswerFactor = 2;
/**
 * Copies of a refusal that a caller gets who has heard it ring, whatever his INVITE pays for: he repeats it no more, and where 30 % of all datagrams are lost
 * one in 120 such answers never arrives; with one copy it would be one in three.
 */
export const unprovenCopies = 4;
/**
 * What an exchange lends for that, and at once at most: some 30 refusals a second of carriers without an account. Forgers get no more than this beyond what
 * their requests pay for, however many they send.
 */
export const unpaidOctetsPerSecond = 32_000;
export const unpaidOctetsMax = 64_000;
/** RFC 7616 nonces: seconds until `stale=true`. */
export const nonceLifetimeSeconds = 300;
/** Nonces whose count is remembered; forgetting one makes it stale, never replayable. */
export const noncesRememberedMax = 20_000;

/** One frame between an access and an exchange; workerd takes 32 MiB, we flush at 64 KiB, a single message may exceed that by its header. */
export const frameOctetsMax = 1024 * 1024;
/**
 * How far apart the frames of a busy trunk leave at most, a millisecond for each message that could not wait in the one before; one that holds
 * only what can wait (patience.ts) waits for the other time. At 500 calls/s it is two milliseconds or one, at 1500 this, which saves a quarter of
 * all work there; nobody hears it before a telephone rings, and T1 is fifty times as long.
 */
export const frameDelayMsMax = 10;
export const patientFrameDelayMs = 20;
/**
 * A frame from an exchange is acknowledged by the next one of its access, or by one of its own after this: an answer of a phone's brings it along,
 * so that a busy trunk has none of those. What is unacknowledged when a trunk is lost is tried another way, though it may have arrived: so it is not
 * long.
 */
export const frameAckDelayMs = 10;
/** A frame leaves when it holds this much. */
export const frameFlushOctets = 64 * 1024;
/**
 * A replica that has left a frame unanswered for so long is late, half of T1: phones are about to say again over UDP what it has not read. Copies of what
 * is on its way there are dropped, of so many datagrams, a second at 1000 calls/s. Over: copies pass.
 */
export const trunkLateMs: number = t1Ms / 2;
export const datagramsUnderWayMax = 4_000;
/**
 * A replica that falls silent so soon after the other one was given up for silence is waited for so many times as long: both are on a machine that is busy.
 * The first of them is given up as fast as ever.
 */
export const busyMachineMs = 10_000;
export const busyMachineFactor = 3;
/** What an access keeps for one trunk, unsent and unacknowledged together; over: the newest request is refused with 503. */
export const trunkQueueOctetsMax = 8 * 1024 * 1024;

/**
 * What an exchange keeps of what it has sent on one trunk and has no acknowledgement for; over: the oldest is forgotten, as if it had arrived.
 * That is a second at 1000 calls/s; acknowledgements take {@link frameAckDelayMs} and the way.
 */
export const unacknowledgedOctetsMax = 4 * 1024 * 1024;

/**
 * A frame of an exchange that a gateway has answered after so long says that what is read here had waited: silence is judged by when the others spoke, so
 * timers ring later by that. Less is the gateway's own delay, and a busy moment.
 */
export const readLateMsMin = 100;
/** No later than this: Timers B and F then end after 40 s. */
export const readLateMsMax = 8_000;
/** It is said in the log when it is so much, for so long: after a standstill it is for a moment. */
export const readLateSaidMs = 1_000;
export const readLateLastingMs = 3_000;
/** What was measured longer ago counts no more. */
export const readLateKnownMs = 2_000;

/** How long an exchange believes what another one said about a subscriber's secrets: a changed password counts everywhere after this. */
export const credentialsCacheMs = 60_000;
/** Callers of other exchanges whose secrets one exchange remembers; the oldest goes first and is asked for again. */
export const credentialsCachedMax = 10_000;
/** Requests that wait for a caller's secrets at once, and how long; over: 503 with Retry-After. */
export const credentialsWaitingMax = 5_000;
export const credentialsWaitMs = 3_000;
/** What a 503 says in Retry-After (seconds). */
export const retryAfterSeconds = 5;

/**
 * How long the removal of a binding or subscriber is remembered: twice the longest expiry, so that no REGISTER that was on its way, and
 * no replica that was away for less, brings back what is gone. Expired bindings are kept as long, for their Call-ID and CSeq.
 */
export const bindingTombstoneMs = 2 * expiresSecondsMax * 1000;
/**
 * How long the end of an INVITE or a dialog is remembered at least (longer while the pair has not heard of it): the transaction lifetime of
 * 64*T1 and a quarter, so that no retransmission brings a call back. Not longer: at 750 calls/s this is 60 000 tombstones, a third of what an exchange holds.
 */
export const callTombstoneMs = 1.25 * 64 * t1Ms;
/** Records of bindings, removed ones included, of one address-of-record; over: the earliest removed or expired one is forgotten. Four times the bindings. */
export const bindingRecordsPerAddressOfRecordMax = 4 * contactsPerAddressOfRecordMax;
/** Call-IDs whose order one binding remembers: a phone makes a new one per start. Over: the earliest is forgotten. */
export const callIdsPerBindingMax = 8;
/** Texts that a store keeps one copy of (user agents, transports): beyond, it starts anew. */
export const internedTextsMax = 4_096;
/** One record as text: an INVITE of the largest size with every octet escaped, and its branches. */
export const recordOctetsMax = 8 * messageOctetsMax;

/** What a binding keeps of a REGISTER. Call-ID (longest seen: 130) and Contact parameters (a full set of RFC 3840 features is 400); over: 400. */
export const callIdOctetsMax = 255;
export const contactParametersOctetsMax = 512;
/** RFC 5626 4.1: a URN; `urn:uuid:` ones have 45 octets. Over: 400. */
export const instanceIdOctetsMax = 128;
/** RFC 5626 11.2: 1 to 2^31-1. */
export const regIdMax = 2 ** 31 - 1;
/** RFC 3327: proxies between a phone and us, and all their URIs together (each may carry a flow token). Over: 400. */
export const pathValuesMax = 8;
export const pathOctetsMax = 2_048;
/** Longer User-Agents are cut, not refused. */
export const userAgentOctetsMax = 128;
/** RFC 5626 4.4: within this many seconds an outbound phone lets us hear something. */
export const flowTimerSeconds = 120;

/** One Authorization value, and its parameters (RFC 7616 defines 11): more is not read, the request counts as one without credentials. */
export const credentialsOctetsMax = 2_048;
export const credentialsParametersMax = 20;
/** Credentials for one realm in one request that are checked: one per algorithm, twice for good measure. The rest is ignored. */
export const credentialsCheckedMax = 4;
/** Nonce counts below the highest one that are still told apart: how far datagrams may overtake each other. At most 32 (bits of a number). */
export const nonceWindow = 32;
/**
 * Client transactions that ended lately and are remembered, so that a late response to them is dropped, over two generations twice as many;
 * the oldest are forgotten first, and a response to those is passed on by its Vias. Only while a replica is young, or for another's.
 */
export const endedKeysMax = 50_000;
/** How often expired records are looked for. Going through 10 000 of them takes about a millisecond. */
export const sweepMs = 60_000;

/**
 * A dialog of which nothing is heard ends: a forgotten one must not count for ever. A week, since nothing but its record lets its requests pass, and
 * lines that stand for days without a session timer exist. It is also how long a token is good where its dialog's record has been lost.
 */
export const dialogLifetimeMs = 7 * 24 * 3600 * 1000;
/**
 * Octets of dialogs that stand, in one exchange: an ordinary call is 2 KB (docs/performance.md), so these are 24 000. With what rings and what has finished
 * the object stays below Cloudflare's 128 MB. Over: 503 with Retry-After to whoever begins another one.
 */
export const dialogOctetsMax = 48 * 1024 * 1024;
/** Of all that strangers have begun, who have shown no password: 6000 ordinary calls. The rest is for subscribers, whatever strangers send. */
export const dialogOctetsOfStrangersMax: number = dialogOctetsMax / 4;
/** Of one source of theirs, an address or an IPv6 /64: 1500 calls, as many as a carrier without an account brings to one exchange. */
export const dialogOctetsPerSourceMax: number = dialogOctetsOfStrangersMax / 4;
/** Of theirs with one address-of-record: 380 calls, a conference. A door phone that answers by itself takes no more. */
export const dialogOctetsPerCalleeMax: number = dialogOctetsOfStrangersMax / 16;
/**
 * What rings when a share is full may still be answered: so much of it is kept then. Over: the answer passes, and nothing else of that dialog. It takes one
 * phone that answers an INVITE a thousand times, or answers all that ring at once.
 */
export const dialogOctetsFactor = 1.5;
/** What a dialog is without its texts: measured, a call of 2.1 KiB. */
export const dialogOctets = 1_792;
/**
 * A stranger's dialog of which nothing has been heard for so long goes, where strangers have taken half of a share that it counts in; else it has its week. A
 * carrier's call says something in that time: session timers are half an hour (RFC 4028). Four hours, for as long other strangers may be kept out.
 */
export const strangersSilentMs = 4 * 3600 * 1000;
/** Record-Route values that a dialog's record keeps of one side, of proxies that are not ours. Five of the longest seen; over: none is kept. */
export const routeSetOctetsMax = 4_096;
/** A subscription that says no end (RFC 6665 4.2.1.1: it should), and the longest that is believed. */
export const subscriptionSecondsDefault = 3_600;
export const subscriptionSecondsMax = 7 * 24 * 3600;
/**
 * SUBSCRIBEs and REFERs whose first NOTIFY may overtake their answer: 150 a second for 64 s. Thirty octets each. Over: the earliest is forgotten,
 * and a NOTIFY that comes before the answer is refused.
 */
export const subscriptionsAwaitedMax = 10_000;
/** A 2xx that no ACK follows: the callee gives up after 64*T1 (RFC 3261 13.3.1.4). */
export const dialogUnacknowledgedMs = 64 * t1Ms;
/** RFC 4028 4: the smallest Session-Expires. */
export const sessionExpiresSecondsMin = 90;

/** A batch to the pair leaves with this many characters of records: a full table goes in chunks that take the other side some milliseconds each. */
export const pairBatchOctets = 256 * 1024;
/** The largest batch that is read: one with a last record of the largest size. */
export const pairBatchOctetsMax = 8 * 1024 * 1024;
/**
 * A batch costs as much as three calls, whatever is in it: changes that nobody waits for go to the pair after this at the latest. Nothing is
 * lost by waiting: the frames that made them are not acknowledged before.
 */
export const pairDelayMs = 50;
/** Commits leave at once as long as they are few: so many batches, of which another one may leave every {@link pairDelayMs}. */
export const pairBurstMax = 4;
/**
 * An answer of the pair that takes longer than this comes from far away: what somebody waits for leaves beside the batch that is under way. So a commit
 * costs one way there and back, and not up to two. Answers of a pair nearby take a few milliseconds, and one batch after the other groups best.
 */
export const pairOverlapMs = 25;
/** A timer that rings so late rings on a machine that is held up: its pair's answer may be there, unread. Idle machines are late by a few milliseconds. */
export const pairLateMs = 20;
/** Batches under way at once: one each {@link pairDelayMs} for as long as an answer may take before the pair counts as lagging, twice that to be safe. */
export const pairFlightsMax = 8;
/** How long a replica that has started waits for its pair to say anything, and how long for all of its records. It serves alone then. */
export const pairSyncMs = 2_000;
export const pairSyncMsMax = 10_000;
/** A cell that has started joins for no longer than its exchanges may take for it, and one of them may have died over it. */
export const joiningMsMax = pairSyncMsMax + pairSyncMs;
/** A pair that does not answer is tried again after this, then after twice as long, up to the maximum. */
export const pairRetryMs = 50;
export const pairRetryMsMax = 1_000;
/** With nothing new to tell, a pair that is away is not tried for longer: an idle exchange sleeps, and the one that comes back speaks first. */
export const pairQuietMs = 60_000;
/** Starts of the pair that are over and that are remembered: what one of them sent and arrives late counts no more. */
export const pairBootsRememberedMax = 8;

/**
 * An INVITE in progress of which its owner has said nothing for this long is over: Timer C, and the time that its CANCEL may take. Owners
 * that ring for longer write again after {@link inviteRefreshMs}.
 */
export const inviteLifetimeMs = timerCMs + 64 * t1Ms;
export const inviteRefreshMs = 60_000;
/**
 * INVITEs of the other replica that are read for a request of an early dialog, which may be a stranger's: 1000 take 0.2 ms. With more of them its token
 * is believed for as long as they ring.
 */
export const foreignInvitesReadMax = 1_000;
/** Questions for addresses that wait for a gateway to come back; over: refused at once, as if none had been there. */
export const resolutionsWaitingMax = 1_000;
/**
 * INVITEs that nobody remembers and whose callers have hung up, or phones refused: where those wait for the last word, and what they said. The oldest is forgotten. So many
 * such CANCELs in all are under way at once; what a phone has said 487 to is no more. Over: 481.
 */
export const orphansRememberedMax = 1_000;
/** Of one source with a connection, or a registered phone: an office whose calls end together. */
export const orphansPerSourceMax: number = orphansRememberedMax / 10;
/** Of one source whose datagrams may be forged, which nobody is registered at; of all of those; and of those for one callee. True ones are answered in a moment. */
export const orphansPerStrangerMax = 20;
export const orphansOfStrangersMax: number = orphansRememberedMax / 5;
export const orphansPerCalleeMax: number = 2 * orphansPerStrangerMax;
/** How long one counts that no phone knows: its transaction with the phones (64*T1). */
export const orphanCancelMs: number = 64 * t1Ms;
/** How long an access that has lost the other replica is evidence that calls of its are to be taken over here, one by one. */
export const takeoverEvidenceMs = 10_000;
/** A replica that was frozen reads what had come meanwhile: for this long it takes nothing back that it has lost. */
export const lostCallsMs = 2_000;
/** A dialog that comes from the pair so long after it was made: one of the two stood still, and what it has in hand may have been answered meanwhile. */
export const lateRecordMs = 1_000;
/** How long another exchange is waited for that knows where a phone is now. */
export const phoneSearchMs = 2_000;
/**
 * How long a request waits in all for a phone that has lost its connection to register again: phones take milliseconds to some seconds (JsSIP:
 * 2 s, then 4), callers do not hang up yet, and it is far from Timers B and F (32 s). Then 480.
 */
export const phoneReturnMs = 6_000;
/** What a 480 says in Retry-After for a phone that was waited for (seconds): by then it has tried again (RFC 5626 4.5), or will not. */
export const awayRetryAfterSeconds = 30;
/**
 * Flows that a binding remembers to have had: the one that died with both replicas, and two that its phone tried meanwhile. 40 octets each, of phones
 * that have moved. Older ones are forgotten.
 */
export const formerFlowsMax = 3;
/** A connection that was lost longer ago has no phone that would come back any moment: RFC 5626 4.5 tries again within 30 s. 480 at once. */
export const phoneLostMs = 30_000;
/**
 * An in-dialog request of which nothing has been heard for so long is said on its phone's other flow as well, if there is one: its connection may be half
 * open (RFC 5626 4.3). Half of T1: phones answer sooner, and who waits for a BYE or a re-INVITE hears nothing of it.
 */
export const phoneSilentMs: number = t1Ms / 2;
/** How long a copy of an INVITE over UDP waits after a takeover: T1, in which a phone repeats its 2xx, and a fifth more for its way. */
export const copyDelayMs: number = 1.2 * t1Ms;
/**
 * What comes from an access so soon after it has changed to this replica was sent to the other one before, perhaps: the access says it again at once, its
 * caller after T1.
 */
export const replayedMs: number = 1.2 * t1Ms;
/** Branches of INVITEs that are remembered because their 2xx has passed without state; more take the place of the oldest. */
export const passedMax = 1_000;
/**
 * How long a silent phone of a dialog is looked for, or the way to its flow is waited for where nothing else is known of it: as long as the request is
 * (Timer F). Cells that are cut from each other do not know where it has registered until they meet again; nobody but the two of a call can make us look.
 */
export const silentSearchMs: number = 64 * t1Ms - phoneSilentMs;
/** Another exchange is asked again where a phone is after a pause that grows from this to that: ten questions in {@link phoneReturnMs}. */
export const phoneAskMsMin = 100;
export const phoneAskMsMax = 1_000;
/** Phones that are searched and waited for at once, by requests, responses and ACKs: 300 a second of them for {@link phoneReturnMs}. Over: 480. */
export const phoneSearchesMax = 2_000;
/** The same for one address-of-record, each of whose REGISTERs looks for all of them, some microseconds each. A quarter: users share the place. */
export const phoneSearchesPerUserMax: number = phoneSearchesMax / 4;
/**
 * Looks through all bindings of an exchange for a Contact, for its own callers and for other exchanges: 10 000 take a millisecond. Attended transfers to
 * softphones are rarer. Over: 480.
 */
export const contactSearchesPerSecondMax = 50;
/** Of one caller's, so that nobody takes the others' share. */
export const contactSearchesPerCallerMax = 5;
/** Other exchanges that are asked for one Contact. In a larger cluster only that of the user in Referred-By is: 480 when he has not registered it. */
export const exchangesAskedMax = 64;
/** Records whose text is kept for the disk: more wait for it only when it is full, and 10 000 texts are some 5 MB. */
export const keptTextsMax = 10_000;
/** Ends that the pair knows of are written down when it dies within this time: its disk may not have known. Ten times the usual flushMs. */
export const recentEndMs = 10_000;

/**
 * Wrong passwords (auth/guess-brake.ts). One address may send so many at once, for whomever, unless `failedLogins` of the cluster map says
 * otherwise, and one more a second, where 3000 were. An office behind one address has some phones with old passwords on a bad day, and its
 * new ones must get in between somebody's guesses. One flow may send a quarter of it as one user, and one more a minute: such a phone tries
 * twice a minute and takes nothing of what its neighbours have. Against one user all that have failed may send twice as many together, and
 * one more every six seconds: 14 400 a day.
 */
export const failedLoginsPerAddressDefault = 40;
export const failedLoginMsPerAddress = 1_000;
export const failedLoginMsPerFlow = 60_000;
export const failedLoginMsPerUser = 6_000;
/**
 * Of these one address may send a tenth as one user, whatever others do, and one more every ten minutes: three strangers cannot keep out who mistypes a
 * password at a new place. Together ten times as many may be had so against one user, and one more every six seconds: a hundred addresses
 * are needed to take a newcomer all his tries but the first, which nobody can.
 */
export const newcomersTriesShare = 0.1;
export const failedLoginMsPerNewcomer = 600_000;
export const newcomersTriesFactor = 10;
/** What `failedLogins` may say at most: who wants more means 0, none at all. */
export const failedLoginsPerAddressMax = 100_000;
/** Flows, addresses, users, and pairs of them that are remembered for it, of each so many: 3 MB together. The one that failed longest ago is forgotten. */
export const failedLoginsRememberedMax = 5_000;
/** Users at the addresses where they gave the right password: 6 MB; on how many flows there (phones behind one NAT); how often that is noted anew. */
export const knownLoginsMax = 20_000;
export const knownFlowsMax = 4;
export const knownLoginMs = 60_000;
/** Lines of failed logins in the log: so many at once, then one every 200 ms: 60 MB a day at worst. */
export const failedLoginLinesMax = 100;
export const failedLoginLineMs = 200;
/** What such a line shows of a user and of a method. */
export const failedLoginUserOctetsMax = 128;
export const failedLoginMethodOctetsMax = 32;
