// Everything that can be wrong with samples is found here, before step 0.
import { InputError } from "../errors.ts";
import { checkPictures } from "./check-pictures.ts";
import { checkTokens, type TokenCheck } from "./check-tokens.ts";
import type { EncodedSample, Encoding } from "./encode.ts";
import { jsonItems } from "./json-items.ts";
import { Problems } from "./problems.ts";
import type { Sample } from "./sample.ts";
import { parseSample } from "./samples.ts";

export interface CheckOptions {
  /** the folder that pictures' paths are relative to; pictures are not opened without it */
  readonly imagesRoot?: string;
  /** how samples become tokens; without it only structure and pictures are checked */
  readonly encoding?: Encoding;
  /** tokens of a row: longer samples are refused, since cutting could tear a picture or an answer */
  readonly maxTokens?: number;
  /** what to do about samples that teach nothing; refuse unless told */
  readonly nothingToLearn?: "refuse" | "skip";
  /** folder that remembers which pictures were whole; without it all are decoded */
  readonly cache?: string;
  readonly onProgress?: (progress: CheckProgress) => void;
}

export interface CheckProgress {
  readonly stage: "samples" | "pictures" | "tokens";
  readonly done: number;
  /** unknown while the file is being read */
  readonly total?: number;
}

/** Sums that are shown before training. */
export interface CheckSums {
  readonly samples: number;
  /** different pictures */
  readonly pictures: number;
  readonly turns: number;
  /** picture places included; 0 without an encoding, as the next three */
  readonly tokens: number;
  /** tokens that are targets */
  readonly learnedTokens: number;
  readonly longest: number;
  /** samples left out because they teach nothing */
  readonly skipped: number;
}

export interface CheckedSamples {
  /** the samples that can be trained on, in the order of the file */
  readonly samples: readonly Sample[];
  /** the same, as tokens; empty without an encoding */
  readonly encoded: readonly EncodedSample[];
  readonly sums: CheckSums;
  readonly problems: Problems;
  /** ids that more than one sample has; LLaVA's own files have such, so they are told and not refused */
  readonly duplicateIds: readonly string[];
}

/**
 * Reads a file of samples and checks every one: its structure, its tokens, its length and each of its pictures.
 * Problems are gathered; call `problems.refuse(path)` to stop at them.
 *
 * @throws InputError `FILE_MISSING`, `FILE_UNREADABLE`, `IMAGES_FOLDER`; everything else is gathered
 */
export async function checkSamples(path: string, options: CheckOptions = {}): Promise<CheckedSamples> {
  const { onProgress } = options;
  const problems = new Problems();
  const read = await readAll(path, problems, onProgress);
  const pictures = new Map<string, string>();
  for (const { images, where } of read) {
    for (const image of images) if (!pictures.has(image)) pictures.set(image, where);
  }
  // pictures are decoded in other threads while this one counts tokens; their problems come last, in file order
  const pictureProblems = new Problems();
  const [tokens] = await Promise.all([
    countTokens(read, problems, options),
    options.imagesRoot !== undefined &&
      checkPictures(
        options.imagesRoot,
        pictures,
        pictureProblems,
        (done) => onProgress?.({ stage: "pictures", done, total: pictures.size }),
        options.cache,
      ),
  ]);
  problems.join(pictureProblems);
  const { samples, encoded, ...sums } = tokens;
  const turns = read.reduce((sum, { conversations }) => sum + conversations.length, 0);
  const all = { samples: read.length, pictures: pictures.size, turns, ...sums };
  return { samples, encoded, sums: all, problems, duplicateIds: duplicates(read) };
}

async function countTokens(read: Sample[], problems: Problems, options: CheckOptions): Promise<TokenCheck> {
  const { encoding, onProgress } = options;
  if (encoding === undefined) {
    return { samples: read, encoded: [], tokens: 0, learnedTokens: 0, longest: 0, skipped: 0 };
  }
  return checkTokens(read, { ...options, encoding }, problems, (done) => {
    onProgress?.({ stage: "tokens", done, total: read.length });
  });
}

async function readAll(path: string, problems: Problems, onProgress: CheckOptions["onProgress"]): Promise<Sample[]> {
  const samples: Sample[] = [];
  let index = 0;
  try {
    for await (const { value, line } of jsonItems(path)) {
      try {
        samples.push(parseSample(value, `${path}:${line}`, index));
      } catch (error) {
        problems.add(error);
      }
      if (++index % 1000 === 0) onProgress?.({ stage: "samples", done: index });
    }
  } catch (error) {
    if (error instanceof InputError && error.code.startsWith("FILE_")) throw error;
    problems.add(error);
  }
  if (index === 0 && problems.total === 0) {
    problems.add(new InputError("SAMPLES_EMPTY", { expected: "at least one sample", got: "none", where: path }));
  }
  return samples;
}

function duplicates(samples: readonly Sample[]): string[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { id } of samples) {
    if (seen.has(id)) twice.add(id);
    seen.add(id);
  }
  return [...twice];
}
