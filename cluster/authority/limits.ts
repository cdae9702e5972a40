/** The authority's own certificate: nobody has to be told of another one while a system lives. */
export const authorityDays = 3_650;
/** A certificate of a member. It is renewed after two thirds of that, so a system may stand still for ten days. */
export const memberCertificateDays = 30;
/** Certificates are good from so long before they were made: clocks of two machines differ. */
export const backdatedMs = 3_600_000;
/** A secret is drawn with so many random octets, and written in hex. */
export const secretOctets = 32;
/** What a secret has signed counts for so long after another one signs: a call may stand for days, and routes of a dialog never change. */
export const formerSecretMs: number = 7 * 86_400_000;
/** Secrets that count beside the one that signs, before it is changed again: each costs a stranger's request half a microsecond more. After a cut there may be twice as many. */
export const formerSecretsMax = 6;
/** A cell that is down is waited for so long before another secret signs: by then nobody takes it for one that only cannot be heard. */
export const secretWaitMs = 60_000;
/** What an invitation says of a place: the name of a town, a building and a room. */
export const invitationLocationCharactersMax = 64;
/** An invitation is good for an hour unless asked, for a minute at least: somebody has to walk to the other machine. A week is a machine that is still ordered. */
export const invitationMsDefault = 3_600_000;
export const invitationMsMin = 60_000;
export const invitationMsMax: number = 7 * 24 * 3_600_000;
/** Certificates that gateways show, which cells keep: one for all machines mostly, and one for each name where they have several. */
export const servedCertificatesMax = 8;
/** A chain of three certificates and an RSA key, in PEM, are some 8 kB. */
export const servedOctetsMax: number = 24 * 1024;
/** A certificate that begins later than this from now was made with a clock that is wrong, or by nobody: it counts for nothing. */
export const servedAheadMs = 300_000;
/** Authorities take a hundred. */
export const servedNamesMax = 100;
