// Writes the page that compares runs.
import { writeFileAtomic } from "../../formats/node.ts";
import { renderComparison } from "./compare.ts";
import type { ReportData } from "./data.ts";
import { readRun, type Thumbnails } from "./read-run.ts";
import { readStyle } from "./write.ts";

/** Reads the runs' folders and writes one page about them, whole or not at all. Throws as `writeReport`. */
export async function writeComparison(
  folders: readonly string[],
  thumbnails: Thumbnails,
  path: string,
): Promise<ReportData[]> {
  const runs: ReportData[] = [];
  for (const folder of folders) runs.push(await readRun(folder, thumbnails));
  const names = runs.map(({ name }) => name);
  const distinct = new Set(names).size === names.length;
  // copies of one recipe share its name
  const labelled = runs.map((data, i) => ({ label: distinct ? data.name : folders[i]!, data }));
  await writeFileAtomic(path, renderComparison(labelled, await readStyle()));
  return runs;
}
