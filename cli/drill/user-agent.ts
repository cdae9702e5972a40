/** What the drill's phones call themselves. */
export const userAgent = "tandem drill";
