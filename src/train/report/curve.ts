// Points of a curve, and what a chart does to them: a running mean, and fewer of them.

export interface Point {
  readonly x: number;
  readonly y: number;
}

// more points than pixels only make the page heavier
const MOST_POINTS = 600;

/** Points that can be drawn. */
export function finite(points: readonly Point[]): Point[] {
  return points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
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

/** Keeps the lowest and the highest of each bucket: peaks survive. */
export function thin(points: readonly Point[]): readonly Point[] {
  if (points.length <= MOST_POINTS) return points;
  const size = Math.ceil(points.length / (MOST_POINTS / 2));
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const bucket = points.slice(i * size, (i + 1) * size).toSorted((a, b) => a.y - b.y);
    return [bucket[0]!, bucket.at(-1)!].toSorted((a, b) => a.x - b.x);
  }).flat();
}

/** The point whose x is nearest; points in the order of x. */
export function nearest(points: readonly Point[], x: number): Point | undefined {
  let [low, high] = [0, points.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle]!.x < x) low = middle + 1;
    else high = middle;
  }
  const [before, at] = [points[low - 1], points[low]];
  return before !== undefined && at !== undefined && x - before.x < at.x - x ? before : at;
}
