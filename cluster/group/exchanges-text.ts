/** Cells for people: `cell b`, `cells b and c`, `cells b, c and d`. */
export function cellsText(cells: readonly string[]): string {
  const others = cells.slice(0, -1);
  return others.length === 0 ? `cell ${cells.join("")}` : `cells ${others.join(", ")} and ${cells.at(-1) ?? ""}`;
}

/** Exchanges for people: `exchange 3`, `exchanges 0 to 5`, `exchanges 1, 4`. */
export function exchangesText(exchanges: readonly number[]): string {
  const numbers = exchanges.toSorted((one, other) => one - other);
  const [first = 0] = numbers;
  const last = numbers.at(-1) ?? first;
  if (numbers.length === 1) return `exchange ${first}`;
  return `exchanges ${last - first + 1 === numbers.length && numbers.length > 2 ? `${first} to ${last}` : numbers.join(", ")}`;
}
