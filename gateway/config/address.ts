/** True for `0.0.0.0` and `::` in any spelling: all addresses of the machine. */
export function isWildcard(address: string): boolean {
  return address === "0.0.0.0" || /^[0:]*:[0:]*$/.test(address);
}
