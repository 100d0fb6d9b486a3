// What drawing an answer's tokens can be told: one table for the sampler, the command line and the server.
import { InputError } from "../errors.ts";

export type SamplingName = "temperature" | "topP" | "topK" | "minP" | "repetitionPenalty" | "seed";
export type SamplingOptions = Readonly<Partial<Record<SamplingName, number>>>;

/** The values that an option may have. */
export interface NumberRange {
  readonly least: number;
  /** `least` itself is not allowed */
  readonly open?: boolean;
  readonly most: number;
  readonly whole?: boolean;
  readonly meaning: string;
}

const { MIN_SAFE_INTEGER, MAX_SAFE_INTEGER } = Number;

/** Every option; what is left out changes nothing, and without a temperature the likeliest token is taken. */
export const samplingRanges: Readonly<Record<SamplingName, NumberRange>> = {
  temperature: { least: 0, most: 2, meaning: "0 (the default): always the likeliest token; higher: more varied" },
  // the nucleus of arXiv 1904.09751
  topP: { least: 0, open: true, most: 1, meaning: "draw among the likeliest tokens that together reach p" },
  topK: { least: 1, most: MAX_SAFE_INTEGER, whole: true, meaning: "draw among the k likeliest tokens" },
  // arXiv 2407.01082
  minP: { least: 0, most: 1, meaning: "draw among tokens at least p times as likely as the likeliest" },
  // CTRL's, arXiv 1909.05858
  repetitionPenalty: { least: 0, open: true, most: 10, meaning: "above 1: what was said before is said less again" },
  seed: {
    least: MIN_SAFE_INTEGER,
    most: MAX_SAFE_INTEGER,
    whole: true,
    meaning: "the same seed draws the same answer",
  },
};

/** Whether a value lies in a range; no number does not. */
export function isInRange(value: number, { least, open, most, whole }: NumberRange): boolean {
  return (open ? value > least : value >= least) && value <= most && (!whole || Number.isInteger(value));
}

/** "a whole number of at least 1", "a number above 0 and up to 1" */
export function showRange({ least, open, most, whole }: NumberRange): string {
  const kind = whole ? "a whole number" : "a number";
  if (most === MAX_SAFE_INTEGER) return least === MIN_SAFE_INTEGER ? kind : `${kind} of at least ${least}`;
  return open ? `${kind} above ${least} and up to ${most}` : `${kind} from ${least} to ${most}`;
}

/** Throws `SAMPLING_OPTION` for the first option that is out of its range. */
export function checkSampling(options: SamplingOptions): void {
  for (const [name, range] of Object.entries(samplingRanges)) {
    const value = options[name as SamplingName];
    if (value === undefined || isInRange(value, range)) continue;
    throw new InputError("SAMPLING_OPTION", {
      expected: showRange(range),
      got: String(value),
      where: optionFlag(name),
    });
  }
}

/** An option's name on the command line: topP → top-p. */
export function optionFlag(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
