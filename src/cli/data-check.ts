// `llava data check`: everything that can be wrong with samples, and what they hold.
import type { Command } from "commander";
import { checkSamples, type CheckedSamples } from "../data/check.ts";
import { lengthHistogram, summarise, type SampleSummary } from "../data/summary.ts";
import { chooseEncoding, type EncodingOptions } from "./encoding.ts";
import { addEncodingOptions, addVerb, wholeNumber } from "./options.ts";
import { grouped, print, printJson, table } from "./output.ts";
import { startProgress, type Progress } from "./progress.ts";

interface Options extends EncodingOptions {
  readonly images?: string;
  readonly maxTokens?: number;
  readonly json?: boolean;
}

export function addDataCheck(data: Command): void {
  addEncodingOptions(addVerb(data, "check <file>", "check samples, their pictures and their tokens; sum them up"))
    .option("--images <folder>", "the folder that pictures' paths are relative to; opens every picture")
    .option("--max-tokens <n>", "refuse longer samples (default: what the model can hold)", wholeNumber(1))
    .option("--json", "print everything as JSON")
    .action(checkData);
}

async function checkData(file: string, options: Options): Promise<void> {
  const chosen = await chooseEncoding(file, options);
  const images = options.images ?? chosen?.images;
  const maxTokens = options.maxTokens ?? chosen?.maxTokens;
  const checked = await checkSamples(file, {
    ...(images === undefined ? {} : { imagesRoot: images }),
    ...(chosen === undefined ? {} : { encoding: chosen.encoding }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
    onProgress: progressByStage(),
  });
  const summary = summarise(checked.samples);
  if (options.json) printJson(asJson(checked, summary));
  else print(describe(file, checked, summary, images !== undefined));
  checked.problems.refuse(file);
}

type Told = { readonly stage: string; readonly done: number; readonly total?: number };

/** One progress line after another: samples, then pictures and tokens. */
function progressByStage(): (told: Told) => void {
  const lines = new Map<string, Progress>();
  return ({ stage, done, total }) => {
    const options = { label: "check", unit: stage, ...(total === undefined ? {} : { total }) };
    const line = lines.get(stage) ?? startProgress(options);
    lines.set(stage, line);
    line.update(done);
    if (done === total) line.finish();
  };
}

function asJson({ sums, problems, duplicateIds, encoded }: CheckedSamples, summary: SampleSummary): unknown {
  const { samples, pictures, turns, tokens, learnedTokens: learned_tokens, longest, skipped } = sums;
  const { answers, questions, textOnly: text_only, yesShare: yes_share } = summary;
  const first = problems.first.map(({ code, message }) => ({ code, message }));
  return {
    samples,
    pictures,
    text_only,
    turns,
    questions,
    answers,
    yes_share,
    tokens,
    learned_tokens,
    longest,
    skipped,
    lengths: lengthHistogram(encoded.map(({ ids }) => ids.length)),
    duplicate_ids: duplicateIds,
    problems: { total: problems.total, counts: problems.counts, first },
  };
}

function describe(file: string, checked: CheckedSamples, summary: SampleSummary, opened: boolean): string {
  const { sums, problems, duplicateIds } = checked;
  const { answers, yesShare, questions, textOnly } = summary;
  const kinds = Object.entries(answers).filter(([, n]) => n > 0);
  const rows = [
    ["samples", `${grouped(sums.samples)}${textOnly > 0 ? `, ${grouped(textOnly)} of them without a picture` : ""}`],
    [
      "pictures",
      `${grouped(sums.pictures)}${opened ? ", all opened" : ", not opened (name their folder with --images)"}`,
    ],
    ["questions", `${grouped(sums.turns / 2)}, ${grouped(questions)} different`],
    ["answers", kinds.map(([kind, n]) => `${grouped(n)} ${kind}`).join(", ")],
    ...(yesShare === undefined ? [] : [["yes or no", `${(yesShare * 100).toFixed(0)} % yes`]]),
    ...(sums.tokens === 0
      ? []
      : [["tokens", `${grouped(sums.tokens)}, ${grouped(sums.learnedTokens)} learned, longest ${sums.longest}`]]),
    ...(duplicateIds.length === 0 ? [] : [["same id", `${grouped(duplicateIds.length)} ids are used more than once`]]),
    [
      "problems",
      problems.total === 0
        ? "none"
        : Object.entries(problems.counts)
            .map(([code, n]) => `${n} × ${code}`)
            .join(", "),
    ],
  ];
  const first = problems.first.map(({ code, message }) => `${code}: ${message}`);
  const left = problems.total - first.length;
  return [file, table(rows), ...first, ...(left > 0 && first.length >= 50 ? [`and ${grouped(left)} more`] : [])].join(
    "\n",
  );
}
