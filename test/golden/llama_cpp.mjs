// What llama.cpp makes of exported GGUF files, as JSON on stdout: ids of texts, and greedy answers with and without a picture.
// LLAVA_LLAMA_NODE names a folder whose node_modules has @fugood/llama.node (1.7.15 was used), installed without scripts:
//   node test/golden/llama_cpp.mjs '{"model":…,"texts":[…],"prompt":…,"tokens":…,"mmproj":…,"picture":…}'
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const asked = JSON.parse(process.argv[2]);
const require = createRequire(join(resolve(process.env.LLAVA_LLAMA_NODE), "package.json"));
const { loadModel } = require("@fugood/llama.node");
const model = resolve(asked.model);
const context = await loadModel({
  model,
  n_ctx: 256,
  n_gpu_layers: 0,
  n_threads: 1,
  cache_type_k: "f32",
  cache_type_v: "f32",
});
const texts = [];
for (const text of asked.texts ?? []) texts.push(Array.from((await context.tokenize(text)).tokens));
const greedy = {
  prompt: asked.prompt,
  n_predict: asked.tokens,
  top_k: 1,
  temperature: 1,
  penalty_repeat: 1,
  ignore_eos: true,
};
let media = {};
if (asked.mmproj !== undefined) {
  const ready = await context.initMultimodal({ path: resolve(asked.mmproj), use_gpu: false });
  if (!ready) throw new Error("llama.cpp does not take this mmproj file");
  media = { media_paths: [resolve(asked.picture)] };
}
const { text } = await context.completion({ ...greedy, ...media });
await context.release();
process.stdout.write(`\n${JSON.stringify({ texts, text })}\n`);
