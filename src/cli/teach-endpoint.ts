// A teacher at an endpoint behind `llava teach`: resumable, every answer kept.
import { stat } from "node:fs/promises";
import type { CaptionedPicture } from "../data/sample.ts";
import { openEndpoint } from "../endpoint/endpoint.ts";
import { keyFrom } from "../endpoint/key.ts";
import { InputError } from "../errors.ts";
import { builtInKinds, readBuiltInKinds, readKind, type TeacherKind } from "../teacher/kind.ts";
import type { TeacherProgress } from "../teacher/progress.ts";
import { runTeacher } from "../teacher/run.ts";
import { interruptible } from "./interrupt.ts";
import { grouped } from "./output.ts";
import { log, startProgress } from "./progress.ts";

export interface EndpointFlags {
  readonly out: string;
  readonly teacher: string;
  readonly kinds?: string;
  readonly model?: string;
  readonly keyEnv?: string;
  readonly concurrency: number;
  readonly seed: number;
}

/** What came of it, for the result. */
interface Answers {
  readonly samples: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly failed: Readonly<Record<string, number>>;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly journal: string;
}

/** Asks the endpoint for every kind of every picture; running again asks only for what is missing. */
export async function askEndpoint(pictures: readonly CaptionedPicture[], flags: EndpointFlags): Promise<Answers> {
  const { teacher, model, keyEnv, concurrency, seed, out } = flags;
  if (model === undefined) {
    const fix = "add --model NAME, as the endpoint calls it";
    throw new InputError("TEACHER_MODEL", { expected: "a model to ask", got: "none", where: teacher, fix });
  }
  const key = keyFrom(keyEnv);
  const endpoint = openEndpoint({ baseUrl: teacher, concurrency, ...(key === undefined ? {} : { key }) });
  const kinds = await readKinds(flags.kinds);
  const total = pictures.length * kinds.length;
  const progress = startProgress({ label: "teach", unit: "answers", total });
  const source = { pictures: () => listed(pictures), count: pictures.length };
  const notice = "finishing what is under way; every answer is kept, the same command goes on";
  const summary = await interruptible((signal) => {
    const onProgress = (state: TeacherProgress): void => progress.update(done(state), note(state));
    return runTeacher(source, { kinds, endpoint, model, out, seed, signal, onProgress });
  }, notice);
  progress.finish();
  const { accepted, dropped, failed, inDoubt, promptTokens, completionTokens, journal } = summary;
  if (inDoubt.length > 0)
    log(`${inDoubt.length} requests of an earlier run were cut off and asked again: they may be charged twice`);
  for (const [code, n] of Object.entries(failed))
    log(`${grouped(n)} requests failed with ${code}; the same command asks for them again`);
  return {
    samples: accepted,
    dropped,
    failed,
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    journal,
  };
}

async function* listed(pictures: readonly CaptionedPicture[]): AsyncGenerator<CaptionedPicture> {
  yield* pictures;
}

/** Built-in kinds by name; a folder with prompt.md is a kind of the user's own. */
async function readKinds(text: string | undefined): Promise<TeacherKind[]> {
  const names = text?.split(",").map((name) => name.trim()) ?? [...builtInKinds];
  const kinds = names.map(async (name) => {
    const isFolder = (await stat(name).catch(() => undefined))?.isDirectory() === true;
    return isFolder ? [await readKind(name)] : readBuiltInKinds([name]);
  });
  return (await Promise.all(kinds)).flat();
}

function done({ resumed, accepted, dropped, failed }: TeacherProgress): number {
  return resumed + accepted + sum(dropped) + sum(failed);
}

function note({ dropped, failed, retries, completionTokens }: TeacherProgress): string {
  const parts = [`${grouped(completionTokens)} tokens written`];
  if (sum(dropped) > 0) parts.push(`${grouped(sum(dropped))} dropped`);
  if (sum(failed) > 0) parts.push(`${grouped(sum(failed))} failed`);
  if (retries > 0) parts.push(`${grouped(retries)} retries`);
  return parts.join(", ");
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, n) => total + n, 0);
}
