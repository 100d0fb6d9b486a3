// Greedy answers of a model of ours as other tools are asked for them: ids of a text, behind a picture or alone.
import { readPicture } from "../src/image/node.ts";
import { preprocess } from "../src/image/preprocess.ts";
import { parsePreprocessor } from "../src/image/preprocessor.ts";
import { tokensPerPicture } from "../src/models/config.ts";
import { type LlavaFiles, openModel } from "../src/models/node.ts";
import type { PartWeights } from "../src/models/weights.ts";
import { createDirectEngine } from "../src/runtime/direct-node.ts";
import { createTokenizer } from "../src/text/tokenizer.ts";
import { rowOf } from "../src/train/parity-rows.ts";
import { loadWhole } from "../src/train/parity-whole.ts";
import { aroundLanguage, noWeights } from "./tiny-model.ts";

export interface Greedy {
  /** pictures expanded */
  readonly prompt: number[];
  readonly ids: number[];
  readonly text: string;
  /** of every position of the prompt */
  readonly logits: Float32Array;
  /** of the picture, as the tower takes them */
  readonly pixels: Float32Array;
}

export interface Question {
  readonly text: string;
  readonly picture?: string;
  readonly count: number;
}

/** What another tool sees in place of a model's own tower and pixels. */
export type Sees = (
  files: LlavaFiles,
  pixels: Float32Array<ArrayBuffer>,
) => Promise<{ readonly vision: PartWeights; readonly pixels: Float32Array<ArrayBuffer> }>;

/** The whole model anew for each id, no end among them: slow, and with nothing in common with how we generate. */
export async function greedyIds(path: string, question: Question, sees?: Sees): Promise<Greedy> {
  const files = await openModel(path);
  if (files.kind === "vision") throw new TypeError("a model that answers was expected");
  const llava = files.kind === "llava" ? files : undefined;
  const config = files.kind === "llava" ? files.config : aroundLanguage(files.config);
  const own = files.kind === "llava" ? files : { vision: noWeights, projector: noWeights, language: files.weights };
  const seen = question.picture === undefined ? undefined : await pixelsOf(llava!, question.picture);
  const other = seen === undefined ? undefined : await sees?.(llava!, seen);
  const parts = { projector: own.projector, language: own.language, vision: other?.vision ?? own.vision };
  const engine = await createDirectEngine({ threads: 1 });
  const whole = await loadWhole(engine, { ...parts, config });
  try {
    const tokenizer = createTokenizer(await files.tokenizer());
    const pixels = seen === undefined ? [] : [other?.pixels ?? seen];
    const length = pixels.length > 0 ? tokensPerPicture(config) : 0;
    const bos = tokenizer.addsBos && tokenizer.bos ? [tokenizer.bos.id] : [];
    const ids = [...bos, ...Array<number>(length).fill(config.imageTokenId), ...tokenizer.encode(question.text)];
    const start = ids.length;
    const images = length > 0 ? [{ start: bos.length, length, document: 0, image: "0" }] : [];
    let logits: Float32Array | undefined;
    while (ids.length < start + question.count) {
      const row = rowOf(Int32Array.from(ids), new Int32Array(ids.length).fill(-100), images);
      const all = (await whole.run([row], pixels, false))["logits"]!.data as Float32Array;
      logits ??= all;
      const last = all.slice(-config.language.vocabSize);
      for (const id of files.endIds) last[id] = -Infinity;
      ids.push(last.indexOf(Math.max(...last)));
    }
    const answer = ids.slice(start);
    return {
      prompt: ids.slice(0, start),
      ids: answer,
      text: tokenizer.decode(answer),
      logits: logits!,
      pixels: pixels[0] ?? new Float32Array(),
    };
  } finally {
    await whole.release();
    await engine.close();
    await files.close();
  }
}

async function pixelsOf(files: LlavaFiles, picture: string): Promise<Float32Array<ArrayBuffer>> {
  const preprocessor = parsePreprocessor(await files.preprocessor(), files.where);
  return preprocess(await readPicture(picture), preprocessor) as Float32Array<ArrayBuffer>;
}
