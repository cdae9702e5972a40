/*
 * What Cloudflare charges beyond what the Workers Paid plan ($5 a month) includes, in dollars. From
 * https://developers.cloudflare.com/durable-objects/platform/pricing/ and https://developers.cloudflare.com/workers/platform/pricing/ as they were
 * in November 2026. What is included each month (10 million Worker requests, 1 million object requests, 400 000 GB-s, 50 million rows written, 25 000
 * million read, 5 GB) is not deducted: these are the prices of growth.
 */
const million = 1_000_000;

/** A request to a Worker. One that comes over a service binding costs nothing. */
export const workerRequest = 0.3 / million;
/** A millisecond of a Worker's CPU time; that of Durable Objects is in their duration. */
export const workerCpuMs = 0.02 / million;
/** A request to a Durable Object: fetch, RPC call, alarm, or 20 incoming WebSocket messages. Outgoing ones and automatic answers are free. */
export const objectRequest = 0.15 / million;
export const webSocketMessagesPerRequest = 20;
/** A second of a Durable Object that runs or could not hibernate: it is billed as 128 MB. */
export const objectSecond = (128 / 1024) * (12.5 / million);
/** A row of SQLite; setting an alarm is a row written. */
export const rowRead = 0.001 / million;
export const rowWritten = 1 / million;
/** A gigabyte of SQLite for a month. */
export const gigabyteMonth = 0.2;

/** CPU time of a Worker that checks a signature and hands a request on, generously: it cannot be told from the objects' in a local run. */
export const workerCpuMsPerRequest = 1;
