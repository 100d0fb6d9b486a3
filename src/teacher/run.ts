// Runs a teacher at an endpoint over a source: asks what is not yet answered, keeps every answer, writes the samples.
import type { Sample, Turn } from "../data/sample.ts";
import { writeSamples } from "../data/samples.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { InputError } from "../errors.ts";
import { askAll } from "./ask.ts";
import { openJournal, type Journal } from "./journal.ts";
import type { TeacherKind } from "./kind.ts";
import { questionFor, requestFor, type Skipped, type TeacherRequest } from "./messages.ts";
import { openProgress, type TeacherProgress } from "./progress.ts";
import { rereadable, type PictureSource } from "./source.ts";
import { judge } from "./verdict.ts";

export interface TeacherOptions {
  readonly kinds: readonly TeacherKind[];
  readonly endpoint: Endpoint;
  readonly model: string;
  /** the samples, as JSON or JSON lines; the journal lies beside it */
  readonly out: string;
  /** chooses the wording of questions, and is sent to the endpoint where given */
  readonly seed?: number;
  /** no further request starts once it is aborted; those under way may finish within five seconds */
  readonly signal?: AbortSignal;
  /** called after every answer and every failure */
  readonly onProgress?: (progress: TeacherProgress) => void;
}

/** What a finished run made. */
export interface TeacherSummary {
  readonly accepted: number;
  /** answers that were not used, by reason */
  readonly dropped: Readonly<Record<string, number>>;
  /** requests without an answer, by the endpoint's error code; running again asks for them again */
  readonly failed: Readonly<Record<string, number>>;
  /** requests that were under way when an earlier run was killed: the endpoint may have charged for them */
  readonly inDoubt: readonly string[];
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly journal: string;
}

/**
 * Asks the endpoint for every kind of every picture and writes the accepted samples, in the order of the source. Each
 * answer is on disk in `OUT.journal.jsonl` before anything is made of it: after a kill, running again asks only for
 * what is missing, and the output is the same as without the kill. The output appears whole or not at all.
 *
 * @throws InputError `TEACHER_EMPTY`, `TEACHER_BUSY`, `JOURNAL_CORRUPT`, `FILE_NOT_WRITABLE`; EndpointError when the
 *   endpoint is unusable (what was answered until then stays in the journal); RunError `JOURNAL_WRITE`; the signal's
 *   reason when aborted
 */
export async function runTeacher(source: PictureSource, options: TeacherOptions): Promise<TeacherSummary> {
  const { out, signal } = options;
  const read = await rereadable(source);
  const requests = (): AsyncGenerator<TeacherRequest | Skipped> => requestsOf(read(), options);
  const journal = await openJournal(`${out}.journal.jsonl`);
  try {
    const count = "count" in source ? source.count : undefined;
    const total = count === undefined ? undefined : count * options.kinds.length;
    const progress = openProgress(total, options.onProgress);
    await askAll(requests(), journal, progress, options);
    signal?.throwIfAborted();
    const tally = openTally();
    await writeSamples(out, samplesOf(requests(), journal, options.seed ?? 0, tally));
    const { failed } = progress.state();
    return { ...tally, failed, inDoubt: journal.inDoubt, journal: journal.path };
  } finally {
    await journal.close();
  }
}

async function* requestsOf(
  pictures: ReturnType<Awaited<ReturnType<typeof rereadable>>>,
  { kinds, model, seed }: TeacherOptions,
): AsyncGenerator<TeacherRequest | Skipped> {
  let any = false;
  for await (const picture of pictures) {
    for (const kind of kinds) {
      any = true;
      yield requestFor(picture, kind, model, seed);
    }
  }
  if (any) return;
  throw new InputError("TEACHER_EMPTY", { expected: "at least one picture and one kind", got: "none" });
}

interface Tally {
  accepted: number;
  readonly dropped: Record<string, number>;
  promptTokens: number;
  completionTokens: number;
}

function openTally(): Tally {
  return { accepted: 0, dropped: {}, promptTokens: 0, completionTokens: 0 };
}

/** The samples of all usable answers, counting every one that is not. */
async function* samplesOf(
  requests: AsyncIterable<TeacherRequest | Skipped>,
  journal: Journal,
  seed: number,
  tally: Tally,
): AsyncGenerator<Sample> {
  for await (const request of requests) {
    if ("skipped" in request) {
      tally.dropped[request.skipped] = (tally.dropped[request.skipped] ?? 0) + 1;
      continue;
    }
    const answer = await journal.answer(request.key);
    if (answer === undefined) continue;
    tally.promptTokens += answer.promptTokens ?? 0;
    tally.completionTokens += answer.completionTokens ?? 0;
    const verdict = judge(answer, request.kind, questionFor(request, seed));
    if ("reason" in verdict) {
      tally.dropped[verdict.reason] = (tally.dropped[verdict.reason] ?? 0) + 1;
      continue;
    }
    tally.accepted++;
    const conversations = verdict.pairs.flatMap(({ question, answer }, i): Turn[] => [
      { from: "human", value: i === 0 ? `<image>\n${question}` : question },
      { from: "gpt", value: answer },
    ]);
    const { id, kind, picture } = request;
    const extra = {
      teacher: answer.model ?? request.chat.model,
      kind: kind.name,
      prompt_version: kind.version,
      request: request.key,
    };
    yield { id, images: [picture.image], conversations, extra, where: id };
  }
}
