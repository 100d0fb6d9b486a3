// Which pictures are asked which kinds: all of them, or a mixture by weight with a bound on their number.
import { random } from "../data/random.ts";
import type { CaptionedPicture } from "../data/sample.ts";
import { InputError } from "../errors.ts";
import type { TeacherKind } from "./kind.ts";
import { requestsFor, type Askable, type RequestOptions, type Skipped, type TeacherRequest } from "./messages.ts";
import type { FactSheet, FactSheets } from "./sheet.ts";

export interface CandidateOptions extends RequestOptions {
  readonly kinds: readonly TeacherKind[];
  /** by kind's name: how often it is asked beside one of weight 1; 1 unless told */
  readonly weights?: ReadonlyMap<string, number> | undefined;
  /** most requests in all */
  readonly most?: number | undefined;
  readonly sheets?: FactSheets | undefined;
}

/** Where a bound leaves pictures out, a few more are drawn: some turn out to have nothing to ask. */
const spare = 1.1;

/**
 * The requests of a source in its order; the same source, seed and options give the same. Kinds of less weight than
 * the heaviest get a share of the pictures, drawn by name; a bound on all draws from the whole source, not its beginning.
 *
 * @throws InputError `TEACHER_EMPTY` when there is nothing to ask
 */
export async function* candidatesOf(
  pictures: Iterable<CaptionedPicture> | AsyncIterable<CaptionedPicture>,
  count: number | undefined,
  { kinds, weights, most = Number.POSITIVE_INFINITY, sheets, ...options }: CandidateOptions,
): AsyncGenerator<TeacherRequest | Skipped> {
  const shares = sharesOf(kinds, weights, count, most);
  const makers = kinds.map((kind) => requestsFor(kind, options));
  const { seed = 0 } = options;
  let [any, asked] = [false, 0];
  for await (const picture of pictures) {
    let sheet: FactSheet | undefined;
    const shown = await options.sight?.nameOf(picture.image);
    const facts = (): FactSheet | undefined => (sheet ??= sheets?.(picture));
    for (const [i, make] of makers.entries()) {
      any = true;
      const share = shares[i] as number;
      if (share < 1 && !random(seed, "candidate", kinds[i]?.name ?? "", picture.id).chance(share)) continue;
      const request = make(picture, facts, shown);
      if (!("skipped" in request) && asked++ >= most) return;
      yield request;
    }
  }
  if (any) return;
  throw new InputError("TEACHER_EMPTY", { expected: "at least one picture and one kind", got: "none" });
}

/** The first `most` requests, pictures without one not counted; and afterwards, whether there were more. */
export function firstOf(
  requests: AsyncGenerator<Askable | Skipped>,
  most = Number.POSITIVE_INFINITY,
): { readonly requests: AsyncGenerator<Askable | Skipped>; cut(): boolean } {
  let cut = false;
  const some = async function* (): AsyncGenerator<Askable | Skipped> {
    let given = 0;
    for await (const request of requests) {
      if (!("skipped" in request) && given++ >= most) {
        cut = true;
        return;
      }
      yield request;
    }
  };
  return { requests: some(), cut: () => cut };
}

function sharesOf(
  kinds: readonly TeacherKind[],
  weights: ReadonlyMap<string, number> | undefined,
  count: number | undefined,
  most: number,
): number[] {
  const given = kinds.map(({ name }) => weights?.get(name) ?? 1);
  const heaviest = Math.max(...given);
  const shares = given.map((weight) => weight / heaviest);
  const all = (count ?? 0) * shares.reduce((sum, share) => sum + share, 0);
  const part = all > most * spare ? (most * spare) / all : 1;
  return shares.map((share) => share * part);
}
