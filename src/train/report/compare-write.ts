// Writes the page that compares runs.
import { basename, resolve } from "node:path";
import { writeFileAtomic } from "../../formats/node.ts";
import type { Thumbnails } from "../../image/thumbnails-node.ts";
import { readStyle } from "../../pages/style-node.ts";
import { renderComparison } from "./compare.ts";
import type { ReportData } from "./data.ts";
import { readRun } from "./read-run.ts";

/** Reads the runs' folders and writes one page about them, whole or not at all. Throws as `writeReport`. */
export async function writeComparison(
  folders: readonly string[],
  thumbnails: Thumbnails,
  path: string,
): Promise<ReportData[]> {
  const runs: ReportData[] = [];
  for (const folder of folders) runs.push(await readRun(folder, thumbnails));
  // variants of one recipe share its name
  const labels = [runs.map(({ name }) => name), folders.map((folder) => basename(resolve(folder))), folders];
  const distinct = labels.find((list) => new Set(list).size === list.length) ?? folders;
  const labelled = runs.map((data, i) => ({ label: distinct[i]!, data }));
  await writeFileAtomic(path, renderComparison(labelled, await readStyle()));
  return runs;
}
