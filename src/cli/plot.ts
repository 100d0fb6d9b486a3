// A line plot in a terminal: two columns and four rows of dots to a character (Unicode's braille patterns).

/** What is drawn into how many characters, axis labels included. */
export interface PlotOptions {
  readonly width: number;
  /** rows of the plot itself */
  readonly height: number;
  /** whole-number places on the x axis that get a mark, with their values, e.g. held-out losses */
  readonly marks?: readonly { readonly at: number; readonly value: number }[];
}

/** Rows of text; `marked` says which characters of a row are marks, so that they can be coloured. */
export interface PlotRow {
  readonly label: string;
  readonly cells: readonly { readonly text: string; readonly marked: boolean }[];
}

// the bit of each dot in a braille character, by column and row
const dots = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const;
const LABEL = 6;
const MARK = "◆";

/**
 * Rows from top to bottom: a label of six characters at the first and the last, then `width` - 7 characters of plot.
 * Values that share a column of dots are averaged; those that are not finite are left out.
 */
export function plot(values: readonly number[], { width, height, marks = [] }: PlotOptions): PlotRow[] {
  const columns = Math.max(1, width - LABEL - 1);
  const means = bucketMeans(values, columns * 2);
  const shown = [...means.filter((mean) => mean !== undefined), ...marks.map(({ value }) => value)];
  const finite = shown.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const level = (value: number): number => {
    const share = high > low ? (value - low) / (high - low) : 0.5;
    return Math.round((1 - share) * (height * 4 - 1));
  };
  const grid = Array.from({ length: height }, () => new Uint8Array(columns));
  let before: number | undefined;
  for (const [x, mean] of means.entries()) {
    if (mean === undefined) continue;
    const y = level(mean);
    // steep stretches stay connected
    for (let dot = Math.min(y, before ?? y); dot <= Math.max(y, before ?? y); dot++) {
      grid[dot >> 2]![x >> 1]! |= dots[x & 1]![dot & 3]!;
    }
    before = y;
  }
  const placed = new Set(
    marks
      .filter(({ value }) => Number.isFinite(value))
      .map(({ at, value }) => `${level(value) >> 2} ${columnOf(at, values.length, columns)}`),
  );
  return grid.map((row, y) => ({
    label: (finite.length === 0 ? "" : y === 0 ? tick(high) : y === height - 1 ? tick(low) : "").padStart(LABEL),
    cells: Array.from(row, (bits, x) => {
      const marked = placed.has(`${y} ${x}`);
      return { text: marked ? MARK : bits === 0 ? " " : String.fromCodePoint(0x2800 + bits), marked };
    }),
  }));
}

/** The mean of each of `count` equal stretches; fewer values leave gaps that are filled by their neighbours. */
function bucketMeans(values: readonly number[], count: number): (number | undefined)[] {
  const sums = new Float64Array(count);
  const counts = new Uint32Array(count);
  const last = Math.max(1, values.length - 1);
  for (const [i, value] of values.entries()) {
    if (!Number.isFinite(value)) continue;
    const bucket =
      values.length <= count ? Math.round((i / last) * (count - 1)) : Math.floor((i / values.length) * count);
    sums[bucket]! += value;
    counts[bucket]!++;
  }
  const means = Array.from(sums, (sum, i) => (counts[i] === 0 ? undefined : sum / counts[i]!));
  return values.length < count ? joined(means) : means;
}

/** Straight lines across the gaps between known values. */
function joined(means: readonly (number | undefined)[]): (number | undefined)[] {
  const filled = [...means];
  let known: number | undefined;
  for (const [i, mean] of means.entries()) {
    if (mean === undefined) continue;
    if (known !== undefined) {
      const from = means[known]!;
      for (let gap = known + 1; gap < i; gap++) filled[gap] = from + ((mean - from) * (gap - known)) / (i - known);
    }
    known = i;
  }
  return filled;
}

function columnOf(at: number, length: number, columns: number): number {
  return Math.min(columns - 1, Math.max(0, Math.round(((at - 1) / Math.max(1, length - 1)) * (columns - 1))));
}

/** Six characters where the exponent has two digits. */
function tick(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(0).replace("e+", "e");
  if (size >= 1000) return String(Math.round(value));
  return size >= 1 ? value.toPrecision(3) : value.toFixed(size >= 0.1 ? 3 : 4);
}
