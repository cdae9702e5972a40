/** A connection that does not stand by then is given up: people have dialled again before. */
export const connectMsMax = 4_000;
