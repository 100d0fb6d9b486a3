// `llava teach report`, and the dataset card of `llava teach --card`.
import type { Command } from "commander";
import type { Source } from "../data/sources/source.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { renderCard } from "../teacher/card.ts";
import { renderTaught } from "../teacher/report/page.ts";
import { readTaught } from "../teacher/report/read.ts";
import { addVerb, refuseOverwrite } from "./options.ts";
import { print } from "./output.ts";

interface ReportOptions {
  readonly images?: string;
  readonly out?: string;
}

export function addTeachReport(teach: Command): void {
  addVerb(
    teach,
    "report <file>",
    "a page with what a teacher wrote beside its pictures, what was dropped, what it cost",
  )
    .option("--images <folder>", "the folder that pictures' paths are relative to")
    .option("--out <page>", "where the page goes (default: FILE.report.html)")
    .action(report);
}

async function report(file: string, { images, out = `${file}.report.html` }: ReportOptions): Promise<void> {
  refuseOverwrite(file, out);
  await writeFileAtomic(out, await renderTaught(await readTaught(file), images));
  print(out);
}

export interface CardFlags {
  readonly card?: string;
  readonly license?: string;
  readonly sourceLicense?: string;
  readonly teacher: string;
  readonly model?: string;
  readonly judge?: string;
  readonly blindTest?: boolean;
  readonly seed: number;
}

/** What a teacher's run tells its card. */
export interface CardResult {
  readonly samples: number;
  readonly dropped?: Readonly<Record<string, number>>;
  readonly kinds: readonly { readonly name: string; readonly version?: number }[];
  readonly spent?: number;
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
}

/** Writes the card; the source is called by its folder's name. */
export async function writeCard(
  file: string,
  path: string,
  source: Source,
  flags: CardFlags,
  result: CardResult,
): Promise<void> {
  const { license, sourceLicense, judge, blindTest, seed, teacher, model } = flags;
  const { spent, prompt_tokens: promptTokens = 0, completion_tokens: completionTokens = 0 } = result;
  const name = path.replace(/[/\\]+$/, "").replace(/^.*[/\\]/, "");
  const told = {
    ...(license === undefined ? {} : { license }),
    ...(sourceLicense === undefined ? {} : { sourceLicense }),
    ...(judge === undefined ? {} : { judge }),
    ...(blindTest === undefined ? {} : { blindTest }),
    ...(spent === undefined ? {} : { cost: { dollars: spent, promptTokens, completionTokens } }),
  };
  const card = renderCard({
    name: `${name}: conversations`,
    source: { name, kind: source.kind, pictures: source.count },
    samples: result.samples,
    dropped: result.dropped ?? {},
    teacher: teacher === "facts" ? "facts: captions and boxes put into words by code" : (model ?? "several endpoints"),
    kinds: result.kinds,
    seed,
    date: new Date().toISOString().slice(0, 10),
    ...told,
  });
  await writeFileAtomic(file, card);
}
