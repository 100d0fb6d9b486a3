// The pages' style sheet, put into every page: a page is one file.
import { readFile } from "node:fs/promises";

export async function readStyle(): Promise<string> {
  return readFile(new URL("./style.css", import.meta.url), "utf8");
}
