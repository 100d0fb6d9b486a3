// A chart's axis: which values it spans, which of them carry a number, and where a value lies.

export interface Scale {
  /** values with a grid line, lowest first */
  readonly ticks: readonly number[];
  /** 0 at the low end, 1 at the high end; values beyond lie on the edge */
  place(value: number): number;
}

/** A span beyond this factor may be shown in powers of ten. */
const LOGARITHMIC = 50;
/** The share of single values, at either end, that may lie beyond the axis. */
const OUTLIERS = 0.01;

/** An axis for finite values: `whole` lie on it in full, of `single` the wildest hundredth may lie beyond it. */
export function valueScale(single: readonly number[], whole: readonly number[], powers: boolean): Scale {
  const sorted = single.toSorted((a, b) => a - b);
  const rank = (share: number): number[] => sorted.slice(Math.round(share * (sorted.length - 1))).slice(0, 1);
  const ends = [...rank(OUTLIERS), ...rank(1 - OUTLIERS), ...whole];
  const [min, max] = [ends.reduce((a, b) => Math.min(a, b)), ends.reduce((a, b) => Math.max(a, b))];
  return powers && min > 0 && max / min > LOGARITHMIC ? logarithmic(min, max) : linear(min, max, 4);
}

/** An axis whose ends are the values' own, as for steps. */
export function stepScale(from: number, to: number, count = 5): Scale {
  const right = Math.max(to, from + 1);
  const inside = ticks(from, right, count).filter((step) => step >= from && step <= to && Number.isInteger(step));
  return { ticks: inside.length === 0 ? [from] : inside, place: between(from, right) };
}

function linear(min: number, max: number, count: number): Scale {
  // equal values get some room, or their ticks would differ in the sixth digit only
  const room = max - min > Math.abs(max) * 1e-3 ? 0 : Math.max(Math.abs(max) * 0.1, 1e-9);
  const marks = ticks(min - room, max + room, count);
  return { ticks: marks, place: between(marks[0]!, marks.at(-1)!) };
}

function logarithmic(min: number, max: number): Scale {
  const [low, high] = [Math.floor(Math.log10(min) + 1e-9), Math.ceil(Math.log10(max) - 1e-9)];
  const every = Math.ceil((high - low) / 5);
  const powers = Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, i) => 10 ** (low + i * every));
  const place = between(low, high);
  return { ticks: powers, place: (value) => (value > 0 ? place(Math.log10(value)) : 0) };
}

function between(low: number, high: number): (value: number) => number {
  return (value) => Math.min(1, Math.max(0, (value - low) / (high - low)));
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

/** A value in few characters: 0.0005, 0.25, 12, 3k, 1e-6. */
export function showValue(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6))
    return String(Number(value.toPrecision(3)).toExponential()).replace("e+", "e");
  return size >= 10_000
    ? `${Number((value / 1000).toPrecision(3))}k`
    : String(Number(value.toPrecision(3 + Number(size >= 1000))));
}
