/** Subscribers in one PUT: one transaction on one object's disk should stay below 100 ms. */
export const subscribersPerRequestMax = 20_000;
/** Cells in one list of those that are preferred: more than a group of this kind has. */
export const cellsPreferredMax = 100;

/** Calls that one answer lists: some 4 MB. */
export const callsListedMax = 10_000;
/** Members of one request: a host, the cells and gateways that it can run, and no more. */
export const membersPerRequestMax = 64;
/** Addresses of a member: of two networks and two families, and names for them. */
export const memberAddressesMax = 16;
/** Processes of one host: the cells and gateways that it can run. */
export const hostProcessesMax = 64;
/** What a process last said: a line for people, not a log. */
export const lastWordsMax = 300;
