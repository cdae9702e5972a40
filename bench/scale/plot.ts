/** A line of the plot: what was measured at which x. */
export type Series = { readonly name: string; readonly points: readonly { readonly x: number; readonly y: number }[] };

export type Panel = {
  readonly title: string;
  readonly xName: string;
  readonly yName: string;
  /** x from zero in even steps, without dots; by doublings else. */
  readonly isLinear?: boolean;
  readonly series: readonly Series[];
};

const width = 420;
const height = 300;
const left = 62;
const right = 14;
const top = 40;
const bottom = 48;
const colours: readonly string[] = ["#0b6bcb", "#c2410c", "#15803d", "#7c3aed", "#a16207", "#be185d"];

/** Panels side by side as SVG, y from zero. */
export function svgOf(panels: readonly Panel[]): string {
  const body = panels.map((panel, index) => `<g transform="translate(${index * width} 0)">${panelText(panel)}</g>`).join("\n");
  const size = `width="${panels.length * width}" height="${height}" viewBox="0 0 ${panels.length * width} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n${body}\n</svg>\n`;
}

function panelText({ title, xName, yName, isLinear = false, series }: Panel): string {
  const points = series.flatMap((each) => each.points);
  const yMost = Math.max(1, ...points.map(({ y }) => y));
  const yStep = stepOf(yMost);
  const yMax = Math.ceil(yMost / yStep) * yStep;
  const { xs, shareOf } = isLinear ? linearScale(points) : doublingScale(points);
  const xOf = (x: number): number => left + (width - left - right) * shareOf(x);
  const yOf = (y: number): number => height - bottom - ((height - top - bottom) * y) / yMax;
  const lines: string[] = [text(width / 2, 20, title, "middle", "bold")];
  for (let y = 0; y <= yMax; y += yStep) {
    lines.push(
      `<line x1="${left}" y1="${yOf(y)}" x2="${width - right}" y2="${yOf(y)}" stroke="#ddd"/>`,
      text(left - 6, yOf(y) + 4, numberText(y), "end"),
    );
  }
  for (const x of xs) lines.push(text(xOf(x), height - bottom + 18, numberText(x), "middle"));
  lines.push(text((left + width - right) / 2, height - 10, xName, "middle"));
  lines.push(`<text transform="translate(14 ${height / 2}) rotate(-90)" text-anchor="middle">${yName}</text>`);
  for (const [index, { name, points: own }] of series.entries()) {
    const colour = colours[index % colours.length] ?? "#000";
    const path = own.map(({ x, y }) => `${xOf(x).toFixed(1)},${yOf(y).toFixed(1)}`).join(" ");
    lines.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const { x, y } of isLinear ? [] : own)
      lines.push(`<circle cx="${xOf(x).toFixed(1)}" cy="${yOf(y).toFixed(1)}" r="3" fill="${colour}"/>`);
    lines.push(`<g fill="${colour}">${text(left + 8, top + 4 + index * 16, name, "start")}</g>`);
  }
  return lines.join("\n");
}

/** Where an axis is marked, and how far along it a value stands. */
type Scale = { readonly xs: readonly number[]; readonly shareOf: (x: number) => number };

function doublingScale(points: readonly { readonly x: number }[]): Scale {
  const xs = [...new Set(points.map(({ x }) => x))].toSorted((one, other) => one - other);
  const last = Math.log2(xs.at(-1) ?? 2);
  return { xs, shareOf: (x) => Math.log2(x) / (last === 0 ? 1 : last) };
}

function linearScale(points: readonly { readonly x: number }[]): Scale {
  const most = Math.max(1, ...points.map(({ x }) => x));
  const step = stepOf(most);
  return { xs: Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step), shareOf: (x) => x / most };
}

/** 1, 2 or 5 times a power of ten, so that a handful of lines are enough. */
function stepOf(max: number): number {
  const power = 10 ** Math.floor(Math.log10(max / 4));
  return ([1, 2, 5, 10].find((factor) => factor * power >= max / 5) ?? 10) * power;
}

/** Steps below one are sums of fractions. */
function numberText(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}

function text(x: number, y: number, content: string, anchor: string, weight = "normal"): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-weight="${weight}">${content}</text>`;
}
