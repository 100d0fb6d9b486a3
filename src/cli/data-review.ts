// `llava data review`: a page on this machine to accept, edit and reject samples with keys.
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { openReview } from "../review/samples.ts";
import { serveReview } from "../review/server.ts";
import { interruptible } from "./interrupt.ts";
import { addVerb, wholeNumber } from "./options.ts";
import { grouped, print, printJson } from "./output.ts";
import { log } from "./progress.ts";

interface Options {
  readonly images?: string;
  readonly port: number;
  readonly json?: boolean;
}

export function addDataReview(data: Command): void {
  addVerb(data, "review <file>", "accept, edit and reject samples on a page of this machine, and write them back")
    .option("--images <folder>", "the folder that pictures' paths are relative to")
    .option("--port <n>", "on this port (default: any that is free)", wholeNumber(0, 65_535), 0)
    .option("--json", "print what was decided as JSON")
    .action(review);
}

async function review(file: string, { images, port, json }: Options): Promise<void> {
  const samples = await openReview(file);
  try {
    if (samples.count === 0) {
      throw new InputError("REVIEW_EMPTY", { expected: "at least one sample", got: "none", where: file });
    }
    const server = await serveReview(samples, images, port);
    try {
      log(`${grouped(samples.count)} samples at ${server.address} (Ctrl-C keeps the decisions for the next time)`);
      await interruptible(
        (signal) =>
          new Promise<void>((resolve, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
            void server.done.then(resolve);
          }),
      );
    } finally {
      await server.close();
    }
    const { accepted, edited, rejected } = samples.decided;
    if (json) printJson({ file, accepted, edited, rejected });
    else print(`${file}: ${accepted} accepted, ${edited} edited, ${rejected} rejected`);
  } finally {
    await samples.close();
  }
}
