// `llava data`: the verbs that look at training data.
import type { Command } from "commander";
import { addDataCheck } from "./data-check.ts";
import { addDataConvert } from "./data-convert.ts";
import { addDataPreview } from "./data-preview.ts";
import { addDataReview } from "./data-review.ts";

export function addData(program: Command): void {
  const data = program.command("data").description("check, preview, convert and review training data");
  addDataCheck(data);
  addDataPreview(data);
  addDataConvert(data);
  addDataReview(data);
}
