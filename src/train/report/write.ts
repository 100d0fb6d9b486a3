// Writes report.html: one file that needs nothing else and asks nothing of the network.
import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "../../formats/node.ts";
import type { ReportData } from "./data.ts";
import { renderReport } from "./page.ts";

/** Renders `data` and writes it whole or not at all. Throws what `writeFileAtomic` throws. */
export async function writeReport(path: string, data: ReportData): Promise<void> {
  const style = await readFile(new URL("./style.css", import.meta.url), "utf8");
  await writeFileAtomic(path, renderReport(data, style));
}
