/**
 * Every limit of the core, each with its reason. A limit without a hostile test is a wish: see the tests of the part that enforces it, and
 * docs/limits.md. Units come last in the names.
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

/** RFC 3261 17.1.1.1: estimate of the round trip. */
export const t1Ms = 500;
export const t2Ms = 4_000;
export const t4Ms = 5_000;
/**
 * How long a caller who has hung up waits for phones that do not answer the CANCEL: one repetition of it. Then 487 is ours. The same for a call that one
 * phone has declined for all (6xx). Phones go on being cancelled for 64*T1 (RFC 3261 9.1).
 */
export const cancelAnswerMs: number = 2 * t1Ms;
/** RFC 3261 9.1: how long a branch is waited for that has been cancelled. */
export const cancelWaitMs: number = 64 * t1Ms;
/** How long the addresses of a next hop are waited for. A resolver gives up after 5 s, and a client says an ACK again with each 2xx. */
export const resolveMs = 6_000;
/** Addresses of one next hop that are tried (RFC 3263 4.3): more are no more reachable, and each costs its Timer B. */
export const nextHopAddressesMax = 8;
/** RFC 3261 16.6 11: Timer C must be greater than three minutes. */
export const timerCMs = 181_000;
/**
 * A replica that goes on with another one's INVITE lets Timer C end so much later. So much earlier its record may say that Timer C began: phones say again
 * every minute that they ring (13.3.1.1), and most of what they say needs no record.
 */
export const timerCLateMs = 30_000;

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
 * Of these, those that go over UDP to a Contact that is not where its REGISTER came from, and where nobody has ever answered. The user may have named
 * somebody else's address. Each is said once there, so a datagram brings four. The latest registered go first; nobody has more such phones that are
 * new.
 */
export const unprovenTargetsMax = 4;
/** RFC 5393 5.3.3: branches that one request may have at once, over all proxies. The recommended value. None left: 440. */
export const breadthMax = 60;
/**
 * How often a request may come back that has been forwarded here, by the signed Vias of this cluster in it (RFC 3261 16.3 4: a spiral; RFC 5393). It
 * does not matter what its Request-URI and Routes have become. Two users who are forwarded abroad and back are two. Over: 482.
 */
export const spiralsMax = 2;
/** What one that has come back may start, each time. */
export const spiralAttemptsMax = 4;
/** More ways that one request may come by while it is being answered: a client has a few servers to ask. Over: 482. */
export const joinedMax = 4;
/**
 * Server transactions that one exchange holds; a new request over it gets 503 with Retry-After. A finished one is about a kilobyte, and Cloudflare has
 * 128 MB for an object. Finished ones over UDP count for 32 s (Timer J), two a call: this is 1800 calls/s.
 */
export const transactionsMax = 120_000;
/**
 * Above this share of them those over UDP that finish are forgotten after {@link t4Ms}. By then their clients have the answer, or have asked again
 * three times.
 */
export const transactionsFewShare = 0.5;
/** What in-dialog requests may use over `transactionsMax`, so that calls in progress can end while new ones are refused. */
export const transactionsInDialogShare = 1.25;
/**
 * Octets of requests that wait for a final response, in one exchange. An unanswered INVITE is 9.7 KB, with its transactions, its context and its
 * record, so these are 4000. With as many finished transactions as there may be the object stays below Cloudflare's 128 MB. Over: 503 with
 * Retry-After, stateless.
 */
export const heldOctetsMax = 40 * 1024 * 1024;
/** Of one source, an address or an IPv6 /64: a thousand calls that ring at once, more than an office behind one address has. */
export const heldOctetsPerSourceMax: number = heldOctetsMax / 4;
/** For one address-of-record: 250 calls that ring at once, a busy queue. */
export const heldOctetsPerCalleeMax: number = heldOctetsMax / 16;
/**
 * Of a callee's share, for all who have shown no password: who has is called through whatever strangers do. And for one source of theirs: 60 calls
 * that ring at once, what a carrier brings to a queue. Two sources are needed to keep other strangers from one callee.
 */
export const heldStrangersShare = 0.5;
export const heldStrangerShare: number = heldStrangersShare / 2;
/** Of all who have shown no password: the rest is for subscribers, whatever strangers send from however many addresses. */
export const heldOctetsOfStrangersMax: number = heldOctetsMax / 2;
/**
 * Whose calls are answered has more room: as much as was answered in so many ms, or in twice that. So a PBX or a carrier may lag by 2 s, whatever its rate.
 * A phone that rings has answered next to nothing in that time.
 */
export const answeredMs = 2_000;
/** What an INVITE and another request are, without the octets of their messages: measured with test/system/memory.ts. */
export const heldInviteOctets = 6 * 1024;
export const heldRequestOctets = 2 * 1024;
/**
 * Octets that a source which has proved nothing gets back at most for each octet of a datagram that is refused (RFC 3261 26.3.2.4). The source may be
 * forged, and we are no amplifier. A challenge to the smallest INVITE that phones send is one and a half times as long.
 */
export const unprovenAnswerFactor = 2;
/**
 * Copies of a refusal that a caller gets who has heard it ring, whatever his INVITE pays for. He repeats it no more. Where 30 % of all datagrams are
 * lost one in 120 such answers never arrives. With one copy it would be one in three.
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
/**
 * INVITEs over UDP that were refused with 503 for want of room, and whose copies get the same: 512 a second for 64*T1, some 2 MB. Over: the earliest half is
 * forgotten, and a late copy of one is a new request.
 */
export const refusedInvitesMax = 32_768;
/** What a 503 says in Retry-After (seconds). */
export const retryAfterSeconds = 5;
/** Whoever is refused because all is late may come back so much later than that, each at another time. All at once they would be the next wave. */
export const retrySpreadSeconds = 10;

/**
 * How long the removal of a binding or subscriber is remembered: twice the longest expiry. So no REGISTER that was on its way, and no replica that
 * was away for less, brings back what is gone. Expired bindings are kept as long, for their Call-ID and CSeq.
 */
export const bindingTombstoneMs = 2 * expiresSecondsMax * 1000;
/**
 * How long the end of an INVITE or a dialog is remembered at least; longer while the peer has not heard of it. It is the transaction lifetime of
 * 64*T1 and a quarter, so that no retransmission brings a call back. Not longer: at 750 calls/s this is 60 000 tombstones, a third of what an
 * exchange holds.
 */
export const callTombstoneMs = 1.25 * 64 * t1Ms;
/** How long what became of a call waits for the collector: a week end, and the days that somebody needs to see that it does not come. */
export const callUncollectedMs = 7 * 24 * 3600 * 1000;
/** Cells that a call record names: who fails over more often has another problem. */
export const callCellsMax = 8;
/**
 * A call record's key: its Call-ID (longest seen: 130) and its caller's tag. Over: the key is a hash of them, for whoever calls makes both as long as a
 * header may be.
 */
export const callKeyOctetsMax = 255;
/** What a call record names of either side: a stranger's name may be as long as a header. Over: it is cut. */
export const callPartyOctetsMax = 256;
/** The Contact of who has answered, as long as one that registers. Over: it is cut. */
export const callContactOctetsMax = 1_024;
/** What a call record is without its texts. */
export const callOctets = 512;
/** Records of bindings, removed ones included, of one address-of-record; over: the earliest removed or expired one is forgotten. Four times the bindings. */
export const bindingRecordsPerAddressOfRecordMax = 4 * contactsPerAddressOfRecordMax;
/** Call-IDs whose order one binding remembers: a phone makes a new one per start. Over: the earliest is forgotten. */
export const callIdsPerBindingMax = 8;
/** Texts that a store keeps one copy of (user agents, transports): beyond, it starts anew. */
export const internedTextsMax = 4_096;
/** One record as text: an INVITE of the largest size with every octet escaped, and its branches. */
export const recordOctetsMax = 8 * messageOctetsMax;
/** Letters in the name of a kind of record that this release does not know: ours have ten. */
export const unreadKindCharactersMax = 32;

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
/** RFC 5626 4.4: within this many seconds an outbound phone lets us hear something. Cloudflare closes a WebSocket that is idle for 100 s. */
export const flowTimerSeconds = 90;

/** One Authorization value, and its parameters (RFC 7616 defines 11): more is not read, the request counts as one without credentials. */
export const credentialsOctetsMax = 2_048;
export const credentialsParametersMax = 20;
/** Credentials for one realm in one request that are checked: one per algorithm, twice for good measure. The rest is ignored. */
export const credentialsCheckedMax = 4;
/** Nonce counts below the highest one that are still told apart: how far datagrams may overtake each other. At most 32 (bits of a number). */
export const nonceWindow = 32;
/** Queues of a table of timers: there are as many as different times for which timers run, about eight. Each is looked at with every event. */
export const timerQueuesMax = 12;
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
 * A stranger's dialog of which nothing has been heard for so long goes, where strangers have taken half of a share that it counts in. Else it has its
 * week. A carrier's call says something in that time: session timers are half an hour (RFC 4028). Four hours, for as long other strangers may be kept
 * out.
 */
export const strangersSilentMs = 4 * 3600 * 1000;
/** Record-Route values that a dialog's record keeps of one side, of proxies that are not ours. Five of the longest seen; over: none is kept. */
export const routeSetOctetsMax = 4_096;
/** A 2xx that no ACK follows: the callee gives up after 64*T1 (RFC 3261 13.3.1.4). */
export const dialogUnacknowledgedMs = 64 * t1Ms;
/** RFC 4028 4: the smallest Session-Expires. */
export const sessionExpiresSecondsMin = 90;

/**
 * An INVITE in progress of which its owner has said nothing for this long is over. It is Timer C, how late that may be, and the time that its CANCEL may
 * take. Owners whose phones say that they ring on write again after {@link timerCLateMs}.
 */
export const inviteLifetimeMs = timerCMs + timerCLateMs + 64 * t1Ms;
/** How long another exchange is waited for that knows where a phone is now. */
export const phoneSearchMs = 2_000;
/**
 * How long a request waits in all for a phone that has lost its connection to register again. Phones take milliseconds to some seconds (JsSIP: 2 s,
 * then 4). Callers do not hang up yet, and it is far from Timers B and F (32 s). Then 480.
 */
export const phoneReturnMs = 6_000;
/** What a 480 says in Retry-After for a phone that was waited for, in seconds. By then it has tried again (RFC 5626 4.5), or will not. */
export const awayRetryAfterSeconds = 30;
/**
 * Flows that a binding remembers to have had: the one that died with both replicas, and two that its phone tried meanwhile. 40 octets each, of phones
 * that have moved. Older ones are forgotten.
 */
export const formerFlowsMax = 3;
/**
 * An in-dialog request of which nothing has been heard for so long is said on its phone's other flow as well, if there is one. Its connection may be
 * half open (RFC 5626 4.3). Half of T1: phones answer sooner, and who waits for a BYE or a re-INVITE hears nothing of it.
 */
export const phoneSilentMs: number = t1Ms / 2;
/** How long a copy of an INVITE over UDP waits after a takeover. It is T1, in which a phone repeats its 2xx, and a fifth more for its way. */
export const copyDelayMs: number = 1.2 * t1Ms;
/**
 * How long a silent phone of a dialog is looked for, or the way to its flow is waited for where nothing else is known of it. It is as long as the
 * request is (Timer F). Cells that are cut from each other do not know where it has registered until they meet again. Nobody but the two of a call
 * can make us look.
 */
export const silentSearchMs: number = 64 * t1Ms - phoneSilentMs;
/** Records whose text is kept for the disk: more wait for it only when it is full, and 10 000 texts are some 5 MB. */
export const keptTextsMax = 10_000;
/** What a replica made so shortly before its end was on no disk perhaps. Ten times the usual flushMs. */
export const recentEndMs = 10_000;

/**
 * Wrong passwords (auth/guess-brake.ts). One address may send so many at once, for whomever, and one more a second after that. `failedLogins` of the
 * cluster map may say another number. An office behind one address has some phones with old passwords on a bad day, and its new ones must get in
 * between somebody's guesses. One flow may send a quarter of it as one user, and one more a minute. Such a phone tries twice a minute, and takes
 * nothing of what its neighbours have. Against one user all that have failed may send twice as many together, and one more every six seconds: 14 400
 * a day.
 */
export const failedLoginsPerAddressDefault = 40;
export const failedLoginMsPerAddress = 1_000;
export const failedLoginMsPerFlow = 60_000;
export const failedLoginMsPerUser = 6_000;
/**
 * One address may send a tenth of these as one user, whatever others do, and one more every ten minutes. Three strangers cannot keep out who mistypes
 * a password at a new place. Together ten times as many may be had so against one user, and one more every six seconds. A hundred addresses are
 * needed to take a newcomer all his tries but the first. The first nobody can take.
 */
export const newcomersTriesShare = 0.1;
export const failedLoginMsPerNewcomer = 600_000;
export const newcomersTriesFactor = 10;
/** What `failedLogins` may say at most: who wants more means 0, none at all. */
export const failedLoginsPerAddressMax = 100_000;
/** Flows, addresses, users, and pairs of them that are remembered for it, of each so many: 3 MB together. The one that failed longest ago is forgotten. */
export const failedLoginsRememberedMax = 5_000;
/**
 * Users at the addresses where they gave the right password (6 MB), on how many flows there (phones behind one NAT), and how often that is noted
 * anew.
 */
export const knownLoginsMax = 20_000;
export const knownFlowsMax = 4;
export const knownLoginMs = 60_000;
