// A line chart as SVG: every value as a faint line, their running mean as a bold one.
import { html, type Html } from "./html.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

const WIDTH = 640;
const HEIGHT = 240;
const LEFT = 52;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 32;
// more points than pixels only make the page heavier
const MOST_POINTS = 600;

/** A chart of one measure over steps; points that are not finite are left out. */
export function lineChart(points: readonly Point[], label: string): Html {
  const finite = points.filter(({ y }) => Number.isFinite(y));
  if (finite.length === 0) return html`<p class="empty">No finite ${label} was recorded.</p>`;
  const mean = runningMean(finite);
  const xTicks = ticks(Math.min(...finite.map(({ x }) => x)), Math.max(...finite.map(({ x }) => x)), 6);
  const yTicks = ticks(Math.min(...finite.map(({ y }) => y)), Math.max(...finite.map(({ y }) => y)), 5);
  const left = finite[0]!.x;
  const right = Math.max(finite.at(-1)!.x, left + 1);
  const [low, high] = [yTicks[0]!, yTicks.at(-1)!];
  const px = (x: number): number => round(LEFT + ((x - left) / (right - left)) * (WIDTH - LEFT - RIGHT));
  // a running mean of equal values may end a rounding error beyond them
  const py = (y: number): number => {
    const share = Math.min(1, Math.max(0, (y - low) / (high - low)));
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM));
  };
  const path = (line: readonly Point[]): string =>
    thin(line)
      .map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${px(x)} ${py(y)}`)
      .join("");
  const last = mean.at(-1)!;
  return html`<svg
    viewBox="0 0 ${WIDTH} ${HEIGHT}"
    role="img"
    aria-label="${label} over steps, ending at ${last.y.toPrecision(3)}"
  >
    ${yTicks.map((y) => html`<path class="grid" d="M${LEFT} ${py(y)}H${WIDTH - RIGHT}" /><text class="tick" x="${LEFT - 6}" y="${py(y) + 4}" text-anchor="end">${showTick(y)}</text>`)}
    ${xTicks.filter((x) => x >= left && x <= right && Number.isInteger(x)).map((x) => html`<text class="tick" x="${px(x)}" y="${HEIGHT - 8}" text-anchor="middle">${showTick(x)}</text>`)}
    <path class="raw" d="${path(finite)}" />
    <path class="mean" d="${path(mean)}" />
    <circle class="end" cx="${px(last.x)}" cy="${py(last.y)}" r="3.5" />
  </svg>`;
}

/** The mean of the last twentieth, so that the trend shows through the noise of single batches. */
export function runningMean(points: readonly Point[]): Point[] {
  const width = Math.max(1, Math.round(points.length / 20));
  let sum = 0;
  return points.map(({ x, y }, i) => {
    sum += y - (i >= width ? points[i - width]!.y : 0);
    return { x, y: sum / Math.min(i + 1, width) };
  });
}

/** Round numbers that enclose [min, max], about `count` of them: steps of 1, 2 or 5 times a power of ten. */
export function ticks(min: number, max: number, count: number): number[] {
  const span = Math.max(max - min, Math.abs(max) * 1e-6, 1e-9);
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = power * ([1, 2, 5].find((factor) => factor * power * count >= span) ?? 10);
  const first = Math.floor(min / step + 1e-9);
  const last = Math.max(Math.ceil(max / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** Keeps the lowest and the highest of each bucket: peaks survive. */
function thin(points: readonly Point[]): readonly Point[] {
  if (points.length <= MOST_POINTS) return points;
  const size = Math.ceil(points.length / (MOST_POINTS / 2));
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const bucket = points.slice(i * size, (i + 1) * size).toSorted((a, b) => a.y - b.y);
    return [bucket[0]!, bucket.at(-1)!].toSorted((a, b) => a.x - b.x);
  }).flat();
}

/** A tenth of a pixel is enough. */
function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

function showTick(value: number): string {
  return Math.abs(value) >= 10_000 ? `${Number((value / 1000).toPrecision(3))}k` : String(Number(value.toPrecision(6)));
}
