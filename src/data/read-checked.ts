// A file's samples as tokens, every one checked: read back where the same file was checked before in the same way.
import { checkPictures } from "./check-pictures.ts";
import { type CheckOptions, checkSamples } from "./check.ts";
import type { EncodedSample } from "./encode.ts";
import { Problems } from "./problems.ts";
import type { Sample } from "./sample.ts";
import { readSamples } from "./samples.ts";
import { digestFile, keepTokens, type KeptSamples, recallTokens, tokenFile } from "./token-cache.ts";

export interface Remembering {
  /** folder of the cache; made when missing */
  readonly folder: string;
  /** plain data that changes with whatever decides a sample's tokens, beside the file's own bytes */
  readonly rules: unknown;
}

export interface ReadCheckedOptions extends CheckOptions {
  readonly imagesRoot: string;
  /** without it everything is read and checked anew */
  readonly remember?: Remembering | undefined;
  /** whether the samples themselves are wanted beside their tokens */
  readonly withSamples: boolean;
}

export interface CheckedFile {
  /** in the order of the file; may be empty where they were not wanted */
  readonly samples: readonly Sample[];
  /** the same, pictures by their paths in the images folder */
  readonly encoded: readonly EncodedSample[];
}

/**
 * Reads a file of samples that are to be trained on. What comes from the cache is the same as what is made anew;
 * pictures are looked at in either case, those decoded that changed since.
 *
 * @throws InputError what is wrong with file, samples or pictures (check.ts)
 */
export async function readChecked(path: string, options: ReadCheckedOptions): Promise<CheckedFile> {
  const { remember } = options;
  if (remember === undefined) return checkedAnew(path, options);
  const bytes = await digestFile(path);
  const { maxTokens } = options;
  const file = tokenFile(remember.folder, bytes, { maxTokens, rules: remember.rules });
  const kept = await recallTokens(file);
  if (kept !== undefined) {
    await checkAgain(path, kept, options);
    return { encoded: kept.encoded, samples: options.withSamples ? await readSamples(path) : [] };
  }
  const checked = await checkedAnew(path, options);
  // a file that changed while it was read is not what the digest stands for
  if ((await digestFile(path)) === bytes) await keepTokens(file, { ...checked, pictures: firstNames(checked.samples) });
  return checked;
}

async function checkedAnew(path: string, options: ReadCheckedOptions): Promise<CheckedFile> {
  const { remember } = options;
  const { samples, encoded, problems } = await checkSamples(path, {
    ...options,
    ...(remember && { cache: remember.folder }),
  });
  problems.refuse(path);
  return { samples, encoded };
}

async function checkAgain(
  path: string,
  { encoded, pictures }: KeptSamples,
  options: ReadCheckedOptions,
): Promise<void> {
  const { imagesRoot, onProgress, remember } = options;
  onProgress?.({ stage: "tokens", done: encoded.length, total: encoded.length });
  const named = new Map(pictures.map(([image, line]) => [image, `${path}:${line}`]));
  const problems = new Problems();
  const tell = (done: number): void => onProgress?.({ stage: "pictures", done, total: named.size });
  await checkPictures(imagesRoot, named, problems, tell, remember?.folder);
  problems.refuse(path);
}

function firstNames(samples: readonly Sample[]): KeptSamples["pictures"] {
  const lines = new Map<string, number>();
  for (const { images, where } of samples) {
    for (const image of images) {
      if (!lines.has(image)) lines.set(image, Number(where.slice(where.lastIndexOf(":") + 1)));
    }
  }
  return [...lines];
}
