// What transformers.js makes of an exported ONNX folder: ids of the prompt and of its greedy answer, as JSON on stdout.
// LLAVA_TRANSFORMERS_JS names a folder whose node_modules has @huggingface/transformers (4.3.1 was used):
//   node test/golden/transformers_js.mjs MODEL PICTURE PROMPT DTYPE TOKENS
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, picture, prompt, dtype, tokens] = process.argv.slice(2);
const require = createRequire(join(resolve(process.env.LLAVA_TRANSFORMERS_JS), "package.json"));
const library = await import(pathToFileURL(require.resolve("@huggingface/transformers")).href);
const { AutoModelForImageTextToText, AutoProcessor, env, load_image } = library;
env.allowRemoteModels = false;
env.localModelPath = "/";

const processor = await AutoProcessor.from_pretrained(resolve(folder));
const model = await AutoModelForImageTextToText.from_pretrained(resolve(folder), { dtype });
const inputs = await processor(await load_image(resolve(picture)), prompt);
const count = Number(tokens);
const ids = await model.generate({ ...inputs, max_new_tokens: count, min_new_tokens: count, do_sample: false });
const list = Array.from(ids.data, Number);
const length = inputs.input_ids.dims[1];
process.stdout.write(
  `${JSON.stringify({ input_ids: list.slice(0, length), greedy: list.slice(length), pixels: Array.from(inputs.pixel_values.data) })}\n`,
);
