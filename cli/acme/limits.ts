/** The authority answers with a few kB; a chain of certificates has some 10. */
export const answerOctetsMax = 262_144;
export const answerMsMax = 15_000;
/** From the first question to the certificate. An authority looks from several places, and takes half a minute when it is busy. */
export const orderMsMax = 180_000;
/** How often the authority is asked whether it has looked: at first, and at most. */
export const pollMsMin = 250;
export const pollMsMax = 10_000;
/** A nonce may be too old: the refusal brings another one. Three in a row are nothing rare where every fifth is refused (pebble's tests). */
export const noncesMax = 10;
export const certificatesMax = 10;
/** A door is opened for the time of an order only. Strangers may come in that time, and hold this much of it. */
export const doorConnectionsMax = 64;
export const doorConnectionsPerSourceMax = 16;
export const doorRequestMs = 2_000;
export const doorSilentMs = 1_000;
export const doorRequestOctetsMax = 8_192;
/** A certificate is looked at as often as this. An authority refuses whoever fails more than five times an hour. */
export const lookMs = 3_600_000;
/** Of what others say in an error. */
export const reasonLengthMax = 300;
/** Hosts look at the map every five seconds: by then all of them answer what one has to be asked for, though a look was missed. */
export const heardMs = 12_000;
/** How often a host looks whether another one orders, and opens its door then. */
export const doorLookMs = 500;
/** A host that could order nothing, since another one did, tries again after this at least, when that one has ended. */
export const orderLookMs = 15_000;
/** How often a host asks cells for the certificate that another one has ordered: they share a name, and are to show the same one. */
export const sharedLookMs = 60_000;
/** The first one is asked for as often as this, so that phones soon find it. */
export const firstSharedLookMs = 5_000;
/** So long a host without a cell waits for another one to order it. Then it has a certificate of its own, as one by itself. */
export const sharedWaitMs = 300_000;
