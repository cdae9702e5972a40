/** CPU time of this process so far, in ms. What waits for its turn on a busy machine does not count. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
