// `llava teach`: captioned pictures in, conversations to train on out.
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Option, type Command } from "commander";
import { openSource } from "../data/sources/open.ts";
import { InputError } from "../errors.ts";
import { addSourceOptions, addVerb, refuseOverwrite, sourceOptions, wholeNumber, type SourceFlags } from "./options.ts";
import { grouped, print, printJson, table } from "./output.ts";
import { log } from "./progress.ts";
import { askEndpoint, planEndpoint, type EndpointFlags } from "./teach-endpoint.ts";
import { addLedgerVerbs } from "./teach-ledger.ts";
import { addEndpointOptions, addFactsOptions } from "./teach-options.ts";
import { describePlan, planToJson } from "./teach-plan.ts";
import { refuseUnread } from "./teach-readers.ts";
import { addTeachReport, writeCard, type CardFlags } from "./teach-report.ts";
import { teachByCode, writeAlignment, type FactsFlags } from "./teach-facts.ts";
import { divide, unpackPictures, writeQuestions } from "./teaching.ts";

interface Options extends SourceFlags, EndpointFlags, FactsFlags, CardFlags {
  readonly out: string;
  readonly images?: string;
  readonly seed: number;
  readonly teacher: string;
  readonly model?: string;
  readonly judge?: string;
  readonly blindTest?: boolean;
  readonly align?: string;
  readonly keepOut: number;
  readonly questions?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function addTeach(program: Command): void {
  const verb = addSourceOptions(addVerb(program, "teach <source>", "write conversations about captioned pictures"))
    // needed, but commander would ask the verbs below for it too
    .option("--out <file>", "where the conversations go (.json, .jsonl or .parquet); needed")
    .option(
      "--teacher <who>",
      "facts (built in, no key), the address of an OpenAI-compatible endpoint, a .yaml file with several, or local:MODEL",
      "facts",
    )
    .option(
      "--kinds <list>",
      "facts: presence,count=3,…; endpoint: conversation,detail,reasoning,vqa,yes-no,counting,region,refusal or folders of your own, with weights as conversation=2",
    )
    .option("--align <file>", "write a caption sample for each picture too, for the align stage")
    .addOption(new Option("--captions <which>", "of each picture, in --align").choices(["one", "all"]).default("one"))
    .option("--keep-out <n>", "leave the last n pictures out, to test with", wholeNumber(0), 0)
    .option("--questions <folder>", "write test questions about the pictures that were kept out")
    .option("--seed <n>", "decides wording and choice", wholeNumber(0), 0)
    .option("--card <file>", "write a dataset card: provenance, counts, prompts, cost, licences")
    .option("--license <id>", "for the card: the licence of the samples")
    .option("--source-license <id>", "for the card: the licence of pictures and captions")
    .option("--json", "print what was written as JSON")
    .action(teach);
  addEndpointOptions(addFactsOptions(verb));
  addLedgerVerbs(verb);
  addTeachReport(verb);
}

async function teach(path: string, options: Options, command: Command): Promise<void> {
  const { out, align, questions, keepOut } = options;
  if (out === undefined) {
    command.error("required option '--out <file>' not specified", { code: "commander.missingMandatoryOptionValue" });
  }
  await refuseUnread(command, options);
  refuseOverwrite(path, out, ...[align, options.card].filter((file) => file !== undefined));
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
      const plan = await planEndpoint(divided.training, { ...options, images: source.imagesRoot });
      if (options.json) printJson(planToJson(plan));
      else print(describePlan(plan));
    }
    return;
  }
  await unpackPictures(source);
  for (const file of [out, ...(align === undefined ? [] : [align])]) await mkdir(dirname(file), { recursive: true });
  const ask = options.teacher === "facts" ? teachByCode : askEndpoint;
  const located = { ...options, images: source.imagesRoot };
  const taught = await ask(divided.training, located);
  const aligned = align === undefined ? undefined : await writeAlignment(divided.training, align, located);
  const tests = questions === undefined ? [] : await writeQuestions(questions, divided, options);
  if (options.card !== undefined) await writeCard(options.card, path, source, options, taught);
  const result = { out, ...taught, align, align_samples: aligned, pictures: divided.training.count };
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
