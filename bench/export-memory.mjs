// How much memory an export of a model of LLaVA-1.5-7B's shape takes: its weights are zeros in a sparse file, so that it
// needs no download; what is written is as large as the real one (13.5 GB in float16).
//   node bench/export-memory.mjs FOLDER [DOOR] [OPTION=VALUE…]      DOOR: hf (default), gguf, onnx; e.g. gguf quantize=Q8_0
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { exportModel } from "../dist/export/export.js";
import { writeSparseModel } from "./sparse-model.mjs";

const [folder, to = "hf", ...pairs] = process.argv.slice(2);
if (folder === undefined) throw new TypeError("name an empty folder on a disk with 14 GB to spare");
const options = Object.fromEntries(pairs.map((pair) => pair.split("=")));

const [model, out] = [join(folder, "model"), join(folder, "out")];
const bytes = await writeSparseModel(model, "llava-7b");
const started = performance.now();
try {
  await exportModel(model, { to, out, dtype: "F16", ...options });
} finally {
  await rm(out, { recursive: true, force: true });
  await rm(model, { recursive: true, force: true });
}
const seconds = (performance.now() - started) / 1000;
const peak = process.resourceUsage().maxRSS * 1024;
console.log(
  JSON.stringify({ to, ...options, model_GB: bytes / 1e9, peak_GB: peak / 1e9, seconds: Math.round(seconds) }),
);
