/** Subscribers in one PUT: one transaction on one object's disk should stay below 100 ms. */
export const subscribersPerRequestMax = 20_000;
