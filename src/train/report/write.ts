// Writes reports: one file that needs nothing else and asks nothing of the network.
import { join } from "node:path";
import { writeFileAtomic } from "../../formats/node.ts";
import type { Thumbnails } from "../../image/thumbnails-node.ts";
import { readStyle } from "../../pages/style-node.ts";
import type { ReportData } from "./data.ts";
import { renderReport } from "./page.ts";
import { readRun } from "./read-run.ts";

const fileName = "report.html";

/** Reads a run's folder and writes its report there, whole or not at all. Throws as `readRun` and `writeFileAtomic`. */
export async function writeReport(
  folder: string,
  thumbnails: Thumbnails,
  path = join(folder, fileName),
): Promise<ReportData> {
  const data = await readRun(folder, thumbnails);
  await writeFileAtomic(path, renderReport(data, await readStyle()));
  return data;
}
