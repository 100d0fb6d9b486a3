// `llava teach`: captioned pictures in, conversations to train on out.
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Option, type Command } from "commander";
import { openSource } from "../data/sources/open.ts";
import { InputError } from "../errors.ts";
import { addSourceOptions, addVerb, refuseOverwrite, sourceOptions, wholeNumber, type SourceFlags } from "./options.ts";
import { grouped, print, printJson, table } from "./output.ts";
import { log } from "./progress.ts";
import { askEndpoint, type EndpointFlags } from "./teach-endpoint.ts";
import { teachByCode, writeAlignment, type FactsFlags } from "./teach-facts.ts";
import { divide, writeQuestions } from "./teaching.ts";

interface Options extends SourceFlags, EndpointFlags, FactsFlags {
  readonly out: string;
  readonly align?: string;
  readonly keepOut: number;
  readonly questions?: string;
  readonly json?: boolean;
}

export function addTeach(program: Command): void {
  addSourceOptions(addVerb(program, "teach <source>", "write conversations about captioned pictures"))
    .requiredOption("--out <file>", "where the conversations go (.json or .jsonl)")
    .option("--teacher <who>", "facts (built in, no key) or the address of an OpenAI-compatible endpoint", "facts")
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
    .option("--model <name>", "endpoint: the model to ask")
    .option("--key-env <variable>", "endpoint: the environment variable that holds the key")
    .option("--concurrency <n>", "endpoint: requests at once", wholeNumber(1, 1024), 8)
    .option("--json", "print what was written as JSON")
    .action(teach);
}

async function teach(path: string, options: Options): Promise<void> {
  const { out, align, questions, keepOut } = options;
  refuseOverwrite(path, out, ...(align === undefined ? [] : [align]));
  if (questions !== undefined && keepOut === 0) {
    const [expected, got] = ["pictures to ask about that training does not see", "none"];
    throw new InputError("QUESTIONS_KEEP_OUT", { expected, got, where: "--questions", fix: "add --keep-out 100" });
  }
  const source = await openSource(path, sourceOptions(options));
  for (const note of source.notes) log(note);
  const divided = await divide(source, keepOut);
  for (const file of [out, ...(align === undefined ? [] : [align])]) await mkdir(dirname(file), { recursive: true });
  const ask = options.teacher === "facts" ? teachByCode : askEndpoint;
  const taught = await ask(divided.training, options);
  const aligned = align === undefined ? undefined : await writeAlignment(divided.training, align, options);
  const tests = questions === undefined ? [] : await writeQuestions(questions, divided, options.seed);
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
