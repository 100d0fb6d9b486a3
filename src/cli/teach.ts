// `llava teach`: captioned pictures in, conversations to train on out.
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Option, type Command } from "commander";
import { openSource } from "../data/sources/open.ts";
import { InputError } from "../errors.ts";
import {
  addSourceOptions,
  addVerb,
  decimal,
  refuseOverwrite,
  sourceOptions,
  wholeNumber,
  type SourceFlags,
} from "./options.ts";
import { grouped, print, printJson, table } from "./output.ts";
import { log } from "./progress.ts";
import { askEndpoint, planEndpoint, type EndpointFlags } from "./teach-endpoint.ts";
import { addLedgerVerbs } from "./teach-ledger.ts";
import { describePlan, planToJson } from "./teach-plan.ts";
import { teachByCode, writeAlignment, type FactsFlags } from "./teach-facts.ts";
import { divide, writeQuestions } from "./teaching.ts";

interface Options extends SourceFlags, EndpointFlags, FactsFlags {
  readonly out: string;
  readonly align?: string;
  readonly keepOut: number;
  readonly questions?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function addTeach(program: Command): void {
  const verb = addSourceOptions(addVerb(program, "teach <source>", "write conversations about captioned pictures"))
    // needed, but commander would ask the verbs below for it too
    .option("--out <file>", "where the conversations go (.json or .jsonl); needed")
    .option(
      "--teacher <who>",
      "facts (built in, no key), the address of an OpenAI-compatible endpoint, or a .yaml file with several",
      "facts",
    )
    .option(
      "--kinds <list>",
      "facts: presence,count=3,…; endpoint: conversation,detail,reasoning or folders of your own",
    )
    .option("--align <file>", "write a caption sample for each picture too, for the align stage")
    .addOption(new Option("--captions <which>", "of each picture, in --align").choices(["one", "all"]).default("one"))
    .option("--keep-out <n>", "leave the last n pictures out, to test with", wholeNumber(0), 0)
    .option("--questions <folder>", "write test questions about the pictures that were kept out")
    .option("--seed <n>", "decides wording and choice", wholeNumber(0), 0)
    .option("--turns <n>", "facts: most questions in one sample", wholeNumber(1, 100), 8)
    .addOption(
      new Option(
        "--balance <what>",
        "facts: as many yes as no for every object, or in every picture (as photos show them)",
      )
        .choices(["object", "picture"])
        .default("object"),
    )
    .option("--smallest <share>", "facts: ask after objects that cover this share of a picture", decimal(0, 1), 0.001)
    .option("--model <name>", "endpoint: the model to ask")
    .option("--key-env <variable>", "endpoint: the environment variable that holds the key")
    .option("--concurrency <n>", "endpoint: most requests at once", wholeNumber(1, 1024), 8)
    .option("--rpm <n>", "endpoint: most requests in a minute", wholeNumber(1))
    .option("--tpm <n>", "endpoint: most tokens in a minute", wholeNumber(1))
    .option("--price <in/out>", "endpoint: dollars per million tokens, e.g. 0.15/0.60, or free (default: the table)")
    .option("--budget <dollars>", "endpoint: what all runs with this output may cost together", decimal(0, 1e6))
    .addOption(
      new Option("--in-doubt <what>", "endpoint: requests that may have been charged without an answer").choices([
        "leave",
        "again",
        "idempotent",
      ]),
    )
    .option("--structured", "endpoint: ask for JSON of a given shape")
    .option("--batch", "endpoint: ask through OpenAI's Batch API: within a day, at a part of the price")
    .option("--dry-run", "endpoint: tell what would be asked and what it would cost, ask nothing")
    .option("--json", "print what was written as JSON")
    .action(teach);
  addLedgerVerbs(verb);
}

async function teach(path: string, options: Options, command: Command): Promise<void> {
  const { out, align, questions, keepOut } = options;
  if (out === undefined) {
    command.error("required option '--out <file>' not specified", { code: "commander.missingMandatoryOptionValue" });
  }
  refuseOverwrite(path, out, ...(align === undefined ? [] : [align]));
  if (questions !== undefined && keepOut === 0) {
    const [expected, got] = ["pictures to ask about that training does not see", "none"];
    throw new InputError("QUESTIONS_KEEP_OUT", { expected, got, where: "--questions", fix: "add --keep-out 100" });
  }
  const source = await openSource(path, sourceOptions(options));
  for (const note of source.notes) log(note);
  const divided = await divide(source, keepOut);
  if (options.dryRun) {
    if (options.teacher === "facts") log("facts ask nobody and cost nothing");
    else {
      const plan = await planEndpoint(divided.training, options);
      if (options.json) printJson(planToJson(plan));
      else print(describePlan(plan));
    }
    return;
  }
  for (const file of [out, ...(align === undefined ? [] : [align])]) await mkdir(dirname(file), { recursive: true });
  const ask = options.teacher === "facts" ? teachByCode : askEndpoint;
  const taught = await ask(divided.training, options);
  const aligned = align === undefined ? undefined : await writeAlignment(divided.training, align, options);
  const tests = questions === undefined ? [] : await writeQuestions(questions, divided, options);
  const result = { out, ...taught, align, align_samples: aligned, pictures: divided.training.length };
  if (options.json)
    printJson({ ...result, kept_out: divided.keptOut.length, images: source.imagesRoot, questions: tests });
  else print(describe({ ...result, images: source.imagesRoot }, tests, keepOut));
}

interface Result {
  readonly out: string;
  readonly samples: number;
  readonly align: string | undefined;
  readonly align_samples: number | undefined;
  readonly pictures: number;
  readonly images: string;
}

function describe(result: Result, tests: readonly { path: string; questions: number }[], keptOut: number): string {
  const { out, samples, align, align_samples, pictures, images } = result;
  const rows = [
    [out, grouped(samples), `conversations about ${grouped(pictures)} pictures`],
    ...(align === undefined ? [] : [[align, grouped(align_samples ?? 0), "captions"]]),
    ...tests.map(({ path, questions }) => [
      path,
      grouped(questions),
      `questions about ${grouped(keptOut)} kept-out pictures`,
    ]),
  ];
  return `${table(rows, [1])}\nimages folder: ${images}`;
}
