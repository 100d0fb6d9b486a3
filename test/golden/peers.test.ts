// Exports by the tools that they are for: GGUF by llama.cpp, the ONNX folder by transformers.js.
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exportModel } from "../../src/export/export.ts";
import { encodePng } from "../../src/image/node.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { classLast } from "../class-last.ts";
import { lab } from "../lab.ts";
import { tinyJson } from "../tiny-model.ts";
import { greedyIds } from "../greedy.ts";
import { writeTinyLlava } from "../tiny-export.ts";

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
/** What a program printed last: native libraries may log before it. */
const json = (args: readonly string[]): unknown => {
  const printed = execFileSync(process.execPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return JSON.parse(printed.trimEnd().split("\n").at(-1)!);
};

let root: string;
const at = (name: string): string => join(root, name);
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "peers-"));
  // as large as the tower's input: nobody has to resize it
  for (const [i, name] of ["a.png", "b.png"].entries()) {
    const data = Uint8Array.from({ length: 16 * 16 * 3 }, (_, at) => (i + at * at * (7 - 4 * i)) % 256);
    await writeFile(at(name), await encodePng({ width: 16, height: 16, data }));
  }
});
afterAll(() => rm(root, { recursive: true }));

const siglip = {
  vision_config: { ...tinyJson.vision_config, model_type: "siglip_vision_model" },
  vision_feature_layer: -1,
  vision_feature_select_strategy: "full",
  text_config: { ...tinyJson.text_config, tie_word_embeddings: true },
};
const untied = { ...siglip, text_config: { ...tinyJson.text_config, tie_word_embeddings: false } };
const shuffled = {
  vision_config: { ...tinyJson.vision_config, model_type: "vit" },
  llava_ts: { projector: "linear", pixel_shuffle: 2 },
};
const write = (name: string, changes: object): Promise<void> =>
  writeTinyLlava(at(name), changes as Record<string, object>);

describe.skipIf(process.env["LLAVA_LLAMA_NODE"] === undefined)(
  "llama.cpp (LLAVA_LLAMA_NODE names a folder with it)",
  () => {
    interface Answer {
      readonly texts: number[][];
      readonly text: string;
    }
    const ask = (question: object): Answer => json([script("llama_cpp.mjs"), JSON.stringify(question)]) as Answer;

    it.skipIf(!lab.present)(
      "has our ids and the golden's greedy text of TinyStories-656K",
      async () => {
        const source = lab.path("models/tinystories-656k-llama");
        await exportModel(source, { to: "gguf", out: at("stories"), dtype: "F32" });
        const read = async (name: string): Promise<never> =>
          JSON.parse(await readFile(join(source, name), "utf8")) as never;
        const files = {
          tokenizerJson: await read("tokenizer.json"),
          tokenizerConfig: await read("tokenizer_config.json"),
        };
        const tokenizer = createTokenizer({ ...files, where: source });
        const texts = ["Once upon a time, there was a little girl.", 'Tom said: "Hello!"\nThe end. 12'];
        const { texts: ids, text } = ask({
          model: join(at("stories"), "stories-F32.gguf"),
          texts,
          prompt: "Once upon a time",
          tokens: 24,
        });
        expect(ids.map((one) => one.filter((id) => id !== tokenizer.bos?.id))).toEqual(
          texts.map((one) => tokenizer.encode(one)),
        );
        expect(text).toBe((await greedyIds(source, { text: "Once upon a time", count: 24 })).text);
      },
      300_000,
    );

    // llama.cpp misplaces CLIP's class token (class-last.ts): its answers are those of our model with the same mistake
    it.each([
      ["CLIP", {}, classLast],
      ["SigLIP", untied, undefined],
    ] as const)(
      "answers about a picture as we do: %s",
      async (name, changes, sees) => {
        const [out, count] = [at(`${name}-gguf`), 8];
        await write(name, changes);
        await exportModel(at(name), { to: "gguf", out, dtype: "F32" });
        const text = "what is this? A:";
        const files = { model: join(out, `${name}-gguf-F32.gguf`), mmproj: join(out, `mmproj-${name}-gguf-F32.gguf`) };
        const theirs = ask({ ...files, picture: at("a.png"), prompt: `<__media__>${text}`, tokens: count });
        const ours = await greedyIds(at(name), { text, picture: at("a.png"), count }, sees);
        expect(theirs.text).toBe(ours.text);
        expect((await greedyIds(at(name), { text, picture: at("b.png"), count }, sees)).text).not.toBe(ours.text);
      },
      300_000,
    );
  },
);

describe.skipIf(process.env["LLAVA_TRANSFORMERS_JS"] === undefined)(
  "transformers.js (LLAVA_TRANSFORMERS_JS names a folder with it)",
  () => {
    it.each([
      ["CLIP", {}],
      ["SigLIP, tied", siglip],
      ["ViT, pixel shuffle", shuffled],
    ] as const)(
      "gives our ids, prompt and answer: %s",
      async (name, changes) => {
        const model = `js-${name.slice(0, 3)}`;
        await write(model, changes);
        await exportModel(at(model), { to: "onnx", out: at(`${model}-onnx`), quantize: "all" });
        const prompt = "what is this? A:";
        const ours = await greedyIds(at(model), { text: prompt, picture: at("a.png"), count: 10 });
        const answer = (dtype: string) =>
          json([script("transformers_js.mjs"), at(`${model}-onnx`), at("a.png"), `<image>${prompt}`, dtype, "10"]) as {
            input_ids: number[];
            greedy: number[];
          };
        for (const dtype of ["fp32", "fp16"]) {
          const theirs = answer(dtype);
          expect(theirs.input_ids).toEqual(ours.prompt);
          expect([dtype, theirs.greedy]).toEqual([dtype, ours.ids]);
        }
        for (const dtype of ["q8", "q4"]) {
          expect(answer(dtype).greedy).toHaveLength(10);
        }
      },
      300_000,
    );
  },
);
