// `llava eval judge`: free answers set against reference answers by a judge at an endpoint, as LLaVA-Bench does.
import { Option, type Command } from "commander";
import { openEndpoint } from "../endpoint/endpoint.ts";
import { keyFrom } from "../endpoint/key.ts";
import type { DoubtPolicy } from "../endpoint/ledgered.ts";
import { priceOf, showMoney } from "../endpoint/price.ts";
import { readPairs } from "../evaluate/judge/pairs.ts";
import { readRules } from "../evaluate/judge/request.ts";
import { runJudge } from "../evaluate/judge/run.ts";
import { type JudgeScore, scoreVerdicts } from "../evaluate/judge/score.ts";
import { readVerdicts } from "../evaluate/judge/verdict.ts";
import { describeJudged } from "./eval-view.ts";
import { interruptible } from "./interrupt.ts";
import { addVerb, decimal, refuseOverwrite, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";
import { log, type Progress, startProgress } from "./progress.ts";

interface Options {
  readonly questions: string;
  readonly context: string;
  readonly references: string;
  readonly judge: string;
  readonly model: string;
  readonly out: string;
  readonly rules?: string;
  readonly repeats: number;
  readonly temperature: number;
  readonly keyEnv?: string;
  readonly concurrency: number;
  readonly price?: string;
  readonly budget?: number;
  readonly inDoubt?: DoubtPolicy;
  readonly json?: boolean;
}

/** Adds the verbs below `llava eval` that have to do with judges. */
export function addJudgeVerb(evaluate: Command): void {
  const policies = new Option("--in-doubt <what>", "requests that may have been charged without an answer");
  addVerb(evaluate, "judge <answers>", "let a judge at an endpoint compare answers with reference answers")
    .requiredOption("--questions <file>", "LLaVA-Bench's questions: question_id, image, text, category")
    .requiredOption("--context <file>", "what pictures show in words: image, caption or captions, perhaps instances")
    .requiredOption("--references <file>", "reference answers by question_id")
    .requiredOption("--judge <address>", "an OpenAI-compatible endpoint")
    .requiredOption("--model <name>", "the judge, as the endpoint calls it")
    .requiredOption("--out <file>", "every verdict, as JSON lines; the ledger of requests lies beside it")
    .option(
      "--rules <file>",
      "what is asked of the judge, in the layout of LLaVA's rule.json (default: a rule of ours)",
    )
    .option("--repeats <n>", "judgements of each pair in each order", wholeNumber(1, 100), 3)
    .option("--temperature <t>", "of the judge", decimal(0, 2), 0.2)
    .option("--key-env <variable>", "the environment variable that holds the key")
    .option("--concurrency <n>", "most requests at once", wholeNumber(1, 1024), 8)
    .option("--price <in/out>", "dollars per million tokens, e.g. 0.15/0.60, or free (default: the table)")
    .option("--budget <dollars>", "what all runs with this output may cost together", decimal(0, 1e6))
    .addOption(policies.choices(["leave", "again", "idempotent"]))
    .option("--json", "print the figures as JSON")
    .action(judge);
  addVerb(evaluate, "verdicts <file>", "score a judge's verdicts, or reviews in LLaVA's layout")
    .option("--json", "print the figures as JSON")
    .action(async (file: string, { json }: { json?: boolean }) => show(scoreVerdicts(await readVerdicts(file)), json));
}

async function judge(answers: string, options: Options): Promise<void> {
  const { out, judge: address, model, temperature, repeats, budget, inDoubt } = options;
  refuseOverwrite(answers, out);
  const { questions, context, references } = options;
  const pairs = await readPairs({ answers, questions, context, references });
  const rules = await readRules(options.rules);
  const key = keyFrom(options.keyEnv);
  const price = priceOf(address, model, options.price);
  const { concurrency } = options;
  const endpoint = openEndpoint({ baseUrl: address, concurrency, price, ...(key !== undefined && { key }) });
  const more = { ...(budget !== undefined && { budget: budget * 1e9 }), ...(inDoubt !== undefined && { inDoubt }) };
  let progress: Progress | undefined;
  const onProgress = (done: number, total: number): void => {
    progress ??= startProgress({ label: "judging", unit: "judgements", total });
    progress.update(done);
  };
  const asked = { model, rules, temperature, maxTokens: 1024 };
  const { verdicts, spent, doubt } = await interruptible(
    (signal) => runJudge(pairs, { judge: asked, endpoint, out, repeats, signal, onProgress, ...more }),
    "finishing what is under way; every reply is kept, the same command goes on",
  ).finally(() => progress?.finish());
  if (spent + doubt > 0)
    log(`spent ${showMoney(spent)}${doubt > 0 ? `, and ${showMoney(doubt)} at most in doubt` : ""}`);
  show(scoreVerdicts(verdicts), options.json);
}

function show(score: JudgeScore, json: boolean | undefined): void {
  if (json) printJson(score);
  else print(describeJudged(score));
}
