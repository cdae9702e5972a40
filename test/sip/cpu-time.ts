/** CPU time of this thread so far, in ms: neither what waits for its turn on a busy machine counts, nor what another test file computes beside it. */
export function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
