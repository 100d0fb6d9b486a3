// Options of `llava teach` that belong to one teacher: the built-in one, or models.
import { Option, type Command } from "commander";
import { decimal, wholeNumber } from "./options.ts";
import { addQueueOptions } from "./teach-queue.ts";

/** What the built-in teacher reads. */
export function addFactsOptions(verb: Command): Command {
  return verb
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
    .addOption(
      new Option("--answers <form>", "facts: wordings of many forms, or the test questions' with a short answer")
        .choices(["varied", "short"])
        .default("varied"),
    );
}

/** What teachers that are models read, at an endpoint or here. */
export function addEndpointOptions(verb: Command): Command {
  const endpoint = verb
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
    .option("--rows <n>", "endpoint: stop at so many samples", wholeNumber(1))
    .option("--candidates <n>", "endpoint: most requests (default with --rows: 1.4 times as many)", wholeNumber(1))
    .option("--judge <model>", "endpoint: a second model that sees the facts; what it calls wrong is dropped")
    .option("--judge-at <address>", "endpoint: where the judge is asked (default: where the teacher is)")
    .option("--judge-price <in/out>", "endpoint: what the judge costs, as --price")
    .option("--blind-test", "endpoint: note which short answers are given without the picture too")
    .option("--structured", "endpoint: ask for JSON of a given shape")
    .option("--with-pictures", "endpoint: send the pictures too, 512 pixels at most, to a teacher that sees")
    .option("--batch", "endpoint: ask through OpenAI's Batch API: within a day, at a part of the price")
    .option("--dry-run", "endpoint: tell what would be asked and what it would cost, ask nothing");
  return addQueueOptions(endpoint);
}
