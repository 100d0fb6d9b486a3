// `llava report`: writes the report of a run anew, or one page that compares several.
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { writeComparison } from "../train/report/compare-write.ts";
import { rewriteScores } from "../train/card.ts";
import { runFigures } from "../train/report/figures.ts";
import { thumbnailShelf } from "../image/thumbnails-node.ts";
import { writeReport } from "../train/report/write.ts";
import { addVerb } from "./options.ts";
import { print, printJson } from "./output.ts";
import { log } from "./progress.ts";

interface Options {
  readonly out?: string;
  readonly json?: boolean;
}

export function addReport(program: Command): void {
  addVerb(program, "report <run...>", "write a run's report anew, or compare several runs on one page")
    .option("--out <file>", "where to write (default: RUN/report.html, or comparison.html for several runs)")
    .option("--json", "print where it is and its figures as JSON")
    .action(async (folders: readonly string[], { out, json }: Options) => {
      refuseTwice(folders);
      const [folder] = folders;
      const single = folders.length === 1;
      const path = out ?? (single ? join(folder!, "report.html") : "comparison.html");
      const thumbnails = thumbnailShelf();
      if (single && (await rewriteScores(folder!))) log(`card    ${join(folder!, "model", "README.md")}`);
      const runs = single
        ? [await writeReport(folder!, thumbnails, path)]
        : await writeComparison(folders, thumbnails, path);
      if (json) printJson({ report: path, runs: runs.map(runFigures) });
      else print(`report  ${path}`);
    });
}

function refuseTwice(folders: readonly string[]): void {
  const paths = folders.map((folder) => resolve(folder));
  const twice = folders.find((_, i) => paths.indexOf(paths[i]!) < i);
  if (twice === undefined) return;
  throw new InputError("REPORT_TWICE", { expected: "runs that differ", got: `${twice} twice` });
}
