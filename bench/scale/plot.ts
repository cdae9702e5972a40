/** A line of the plot: what was measured at which x. */
export type Series = { readonly name: string; readonly points: readonly { readonly x: number; readonly y: number }[] };

export type Panel = { readonly title: string; readonly xName: string; readonly series: readonly Series[] };

const width = 420;
const height = 300;
const left = 62;
const right = 14;
const top = 40;
const bottom = 48;
const colours: readonly string[] = ["#0b6bcb", "#c2410c", "#15803d"];

/** Panels side by side as SVG: x by doublings, y from zero, in microseconds. */
export function svgOf(panels: readonly Panel[]): string {
  const body = panels.map((panel, index) => `<g transform="translate(${index * width} 0)">${panelText(panel)}</g>`).join("\n");
  const size = `width="${panels.length * width}" height="${height}" viewBox="0 0 ${panels.length * width} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n${body}\n</svg>\n`;
}

function panelText({ title, xName, series }: Panel): string {
  const points = series.flatMap((each) => each.points);
  const xs = [...new Set(points.map(({ x }) => x))].toSorted((one, other) => one - other);
  const yStep = stepOf(Math.max(...points.map(({ y }) => y)));
  const yMax = Math.ceil(Math.max(...points.map(({ y }) => y)) / yStep) * yStep;
  const last = Math.log2(xs.at(-1) ?? 2);
  const xOf = (x: number): number => left + ((width - left - right) * Math.log2(x)) / (last === 0 ? 1 : last);
  const yOf = (y: number): number => height - bottom - ((height - top - bottom) * y) / yMax;
  const lines: string[] = [text(width / 2, 20, title, "middle", "bold")];
  for (let y = 0; y <= yMax; y += yStep) {
    lines.push(
      `<line x1="${left}" y1="${yOf(y)}" x2="${width - right}" y2="${yOf(y)}" stroke="#ddd"/>`,
      text(left - 6, yOf(y) + 4, String(y), "end"),
    );
  }
  for (const x of xs) lines.push(text(xOf(x), height - bottom + 18, String(x), "middle"));
  lines.push(text((left + width - right) / 2, height - 10, xName, "middle"));
  lines.push(`<text transform="translate(14 ${height / 2}) rotate(-90)" text-anchor="middle">us of CPU a call</text>`);
  for (const [index, { name, points: own }] of series.entries()) {
    const colour = colours[index % colours.length] ?? "#000";
    const path = own.map(({ x, y }) => `${xOf(x).toFixed(1)},${yOf(y).toFixed(1)}`).join(" ");
    lines.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const { x, y } of own) lines.push(`<circle cx="${xOf(x).toFixed(1)}" cy="${yOf(y).toFixed(1)}" r="3" fill="${colour}"/>`);
    lines.push(`<g fill="${colour}">${text(left + 8, top + 4 + index * 16, name, "start")}</g>`);
  }
  return lines.join("\n");
}

/** 1, 2 or 5 times a power of ten, so that a handful of lines are enough. */
function stepOf(max: number): number {
  const power = 10 ** Math.floor(Math.log10(max / 4));
  return ([1, 2, 5, 10].find((factor) => factor * power >= max / 5) ?? 10) * power;
}

function text(x: number, y: number, content: string, anchor: string, weight = "normal"): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-weight="${weight}">${content}</text>`;
}
