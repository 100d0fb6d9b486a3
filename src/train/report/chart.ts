// A chart as SVG, without a script: curves over steps, and under the pointer the figures of that step.
import { finite, nearest, type Point, thin } from "./curve.ts";
import { compact, html, type Html } from "../../pages/html.ts";
import { type Scale, showValue, stepScale, valueScale } from "./scale.ts";

/** One curve; what is not given is not drawn. */
export interface Curve {
  readonly name: string;
  /** a bold line; for screen readers, and first in the figures under the pointer */
  readonly line: readonly Point[];
  /** single values behind it, faint; the wildest may lie beyond the axis */
  readonly single?: readonly Point[];
  /** measured only here and there: dots on the line */
  readonly dots?: boolean;
  /** which of the page's colours */
  readonly tone: number;
}

export interface ChartOptions {
  /** what is charted, e.g. "loss" */
  readonly label: string;
  readonly size?: "wide" | "small";
  /** what x counts */
  readonly unit?: string;
  /** in powers of ten where values span many: gradient norms begin a thousand times larger than they end */
  readonly powers?: boolean;
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly x: (step: number) => number;
  readonly y: (value: number) => number;
}

interface Size {
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly bands: number;
}

const sizes = {
  wide: { width: 720, height: 250, columns: 8, bands: 80 },
  // the wide chart where the page is narrow: shown instead of it (style.css), as numbers must not shrink
  tall: { width: 360, height: 230, columns: 4, bands: 40 },
  small: { width: 320, height: 150, columns: 4, bands: 40 },
} as const satisfies Record<string, Size>;
const TOP = 12;
const RIGHT = 14;
const BOTTOM = 30;

/** A chart of curves that share both axes; a line that says so where nothing can be drawn. */
export function chart(curves: readonly Curve[], options: ChartOptions): Html {
  const { label, size = "wide", unit = "step", powers = false } = options;
  const drawn = curves
    .map((curve) => ({ ...curve, line: finite(curve.line), single: finite(curve.single ?? []) }))
    .filter(({ line }) => line.length > 0);
  if (drawn.length === 0) return html`<p class="empty">No finite ${label} was recorded.</p>`;
  const ys = (points: readonly Point[]): number[] => points.map(({ y }) => y);
  const values = valueScale(
    drawn.flatMap(({ single }) => ys(single)),
    drawn.flatMap(({ single, line }) => (single.length > 0 ? [] : ys(line))),
    powers,
  );
  const said = drawn.map(({ name, line }) => `${name} ends at ${showValue(line.at(-1)!.y)}`).join(", ");
  const drawing = (name: keyof typeof sizes): Html => {
    const { width, height, columns, bands: most } = sizes[name];
    const steps = stepScale(...stepEnds(drawn), columns);
    const frame = frameOf(sizes[name], steps, values);
    return html`<svg class="${name}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}: ${said}">
      ${grid(frame, steps, values)} ${drawn.map((curve) => draw(curve, frame))} ${bands(drawn, frame, unit, most)}
    </svg>`;
  };
  return compact(size === "small" ? drawing("small") : html`${drawing("wide")} ${drawing("tall")}`);
}

/** What each colour stands for; nothing for a single curve. */
export function legend(curves: readonly { readonly name: string; readonly tone: number }[]): Html | undefined {
  if (curves.length < 2) return undefined;
  return html`<p class="legend">
    ${curves.map(({ name, tone }) => html`<span class="key tone-${tone}">${name}</span> `)}
  </p>`;
}

function stepEnds(curves: readonly Curve[]): [number, number] {
  const ends = curves.flatMap(({ line }) => [line[0]!.x, line.at(-1)!.x]);
  return [Math.min(...ends), Math.max(...ends)];
}

function frameOf({ width, height }: Size, steps: Scale, values: Scale): Frame {
  const longest = Math.max(...values.ticks.map((value) => showValue(value).length));
  const left = 12 + longest * 7;
  return {
    width,
    height,
    left,
    x: (step) => round(left + steps.place(step) * (width - left - RIGHT)),
    y: (value) => round(height - BOTTOM - values.place(value) * (height - TOP - BOTTOM)),
  };
}

function grid({ width, height, left, x, y }: Frame, steps: Scale, values: Scale): Html[] {
  const rows = values.ticks.map(
    (value) =>
      html`<path class="grid" d="M${left} ${y(value)}H${width - RIGHT}" />
        <text class="tick" x="${left - 6}" y="${y(value) + 4}" text-anchor="end">${showValue(value)}</text>`,
  );
  const columns = steps.ticks.map(
    (step) => html`<text class="tick" x="${x(step)}" y="${height - 8}" text-anchor="middle">${showValue(step)}</text>`,
  );
  return [...rows, ...columns];
}

function draw({ line, single, dots, tone }: Curve, { x, y }: Frame): Html {
  const path = (points: readonly Point[]): string =>
    thin(points)
      .map((point, i) => `${i === 0 ? "M" : "L"}${x(point.x)} ${y(point.y)}`)
      .join("");
  const marks = dots ? line : line.slice(-1);
  return html`<g class="tone-${tone}">
    ${single === undefined || single.length === 0 ? undefined : html`<path class="raw" d="${path(single)}" />`}
    <path class="mean" d="${path(line)}" />
    ${marks.map((point) => html`<circle class="dot" cx="${x(point.x)}" cy="${y(point.y)}" r="3" />`)}
  </g>`;
}

/** Upright stripes over the chart: the one under the pointer shows its step and every curve's value there. */
function bands(curves: readonly Curve[], frame: Frame, unit: string, most: number): Html[] {
  const [first, last] = stepEnds(curves);
  const count = Math.min(most, Math.round(last - first) + 1);
  if (count < 2) return [];
  const width = round((frame.x(last) - frame.x(first)) / (count - 1));
  return Array.from({ length: count }, (_, i) => {
    const step = Math.round(first + ((last - first) * i) / (count - 1));
    const x = frame.x(step);
    const anchor = x < frame.width / 3 ? "start" : x > (frame.width * 2) / 3 ? "end" : "middle";
    return html`<g class="band">
      <rect x="${round(x - width / 2)}" y="0" width="${width}" height="${frame.height - BOTTOM}" />
      <path d="M${x} ${TOP}V${frame.height - BOTTOM}" />
      <text x="${x}" y="${TOP + 4}" text-anchor="${anchor}">${figures(curves, step, unit)}</text>
    </g>`;
  });
}

function figures(curves: readonly Curve[], step: number, unit: string): string {
  const values = curves.map(({ name, line }) => {
    const value = showValue(nearest(line, step)!.y);
    return curves.length === 1 ? value : `${name} ${value}`;
  });
  return `${unit} ${step}: ${values.join(", ")}`;
}

/** A tenth of a pixel is enough. */
function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}
