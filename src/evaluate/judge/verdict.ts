// A judgement as a line of a file: scores, or why there are none, and the judge's words.
import { z } from "zod";
import { jsonItems } from "../../data/json-items.ts";
import { refused, shown } from "../../data/untrusted.ts";
import type { Order } from "./request.ts";

export interface Verdict {
  readonly question_id: string;
  readonly category: string;
  readonly images: readonly string[];
  readonly order: Order;
  /** from 1 */
  readonly repeat: number;
  /** absent where the judgement failed */
  readonly scores?: { readonly reference: number; readonly candidate: number };
  /** why: an endpoint's error code, IN_DOUBT, BUDGET_SPENT, CUT_OFF, NO_SCORES */
  readonly failure?: string;
  /** what judged, as the endpoint names it */
  readonly judge?: string;
  /** the request in the ledger beside this file */
  readonly request?: string;
  /** the judge's words */
  readonly text?: string;
}

const HIGHEST = 10;

/**
 * The two scores in the order in which the answers were shown: the first line that is not empty holds both and nothing
 * else, each from 0 to 10. Undefined otherwise: numbers further down may be about something else.
 */
export function readScores(text: string): readonly [number, number] | undefined {
  const line = text.split("\n").find((each) => each.trim() !== "") ?? "";
  const found = /^\s*(\d+(?:\.\d+)?)(?:\s*,\s*|\s+)(\d+(?:\.\d+)?)\s*$/.exec(line);
  if (found === null) return undefined;
  const [first, second] = [Number(found[1]), Number(found[2])];
  return Math.max(first, second) > HIGHEST ? undefined : [first, second];
}

const pair = z.tuple([z.number(), z.number()]);
const own = z.object({
  question_id: z.string(),
  category: z.string(),
  images: z.array(z.string()),
  order: z.enum(["reference first", "candidate first"]),
  repeat: z.number().int().positive(),
  scores: z.object({ reference: z.number(), candidate: z.number() }).optional(),
  failure: z.string().optional(),
});
const foreign = z.object({
  question_id: z.union([z.string(), z.number()]).transform(String),
  category: z.string().default("all"),
  tuple: pair.optional(),
  score: pair.optional(),
});

/** Verdicts of our files, and reviews of LLaVA's, where −1 stands for a failure. Throws `VERDICT_SHAPE`, and as `jsonItems`. */
export async function readVerdicts(path: string): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for await (const { value, line } of jsonItems(path)) {
    const mine = own.safeParse(value);
    if (mine.success) {
      const { scores, failure, ...rest } = mine.data;
      verdicts.push({ ...rest, ...(scores && { scores }), ...(failure !== undefined && { failure }) });
      continue;
    }
    const theirs = foreign.safeParse(value);
    const scores = theirs.data?.tuple ?? theirs.data?.score;
    if (!theirs.success || scores === undefined)
      throw refused(
        "VERDICT_SHAPE",
        "a verdict of llava eval judge, or a review of LLaVA's",
        shown(value),
        `${path}:${line}`,
      );
    const { question_id, category } = theirs.data;
    const valid = scores.every((score) => score >= 0);
    const [reference, candidate] = scores;
    const outcome = valid ? { scores: { reference, candidate } } : { failure: "NO_SCORES" };
    const name = category.replace(/^llava_bench_/, "");
    verdicts.push({ question_id, category: name, images: [], order: "reference first", repeat: 1, ...outcome });
  }
  if (verdicts.length > 0) return verdicts;
  throw refused("VERDICT_SHAPE", "at least one verdict", "none", path);
}
