// Answering by ours and by llama.cpp (through node-llama-cpp) in turn, on one machine with as many threads: tokens a
// second of decoding and of a prompt of 512 tokens, eight conversations at once beside one, and a start to its first token.
//
//   npm run build && node bench/answering.mjs MODEL [--weights int4] [--rounds 3] [--tokens 64] [--threads 2]
//       [--llama FOLDER --gguf FILE] [--pictures FOLDER]
//
// MODEL is a language model's folder, or with --pictures a llava model's: then it also tells how long the first word of
// an answer takes, in a first turn about a new picture and in a second turn, pictures read and decoded included. FOLDER holds node_modules/node-llama-cpp (npm i --ignore-scripts node-llama-cpp),
// FILE is the same model for it. The median of the rounds counts; the first start of a form makes its blocks.
import { readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { answerTurns, userTurn } from "../dist/generate/assistant.js";
import { openAssistant, readChatPicture } from "../dist/generate/node.js";
import { mostLikely } from "../dist/generate/sampling.js";
import { createEngine } from "../dist/runtime/node.js";
import { textTurn } from "../dist/text/conversation.js";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    weights: { type: "string", default: "int4" },
    rounds: { type: "string", default: "3" },
    tokens: { type: "string", default: "64" },
    threads: { type: "string", default: "2" },
    llama: { type: "string" },
    gguf: { type: "string" },
    pictures: { type: "string" },
  },
});
const [model] = positionals;
const [rounds, tokens, threads] = [options.rounds, options.tokens, options.threads].map(Number);
const promptLength = 512;
const seconds = () => performance.now() / 1000;
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Ids that no earlier prompt began with, so that nothing is found in a cache. */
let drawn = 1;
const draw = (length) => Array.from({ length }, (_, i) => 100 + ((i * 131 + (i === 0 ? drawn++ : 0) * 17) % 20000));

async function openOurs() {
  const engine = await createEngine({ threads });
  const assistant = await openAssistant(model, { engine, weights: options.weights });
  const { generator } = assistant;
  // as the peer's history is cleared: nothing of earlier rounds is looked at
  const afresh = async (work) => (generator.reset(), work());
  /** seconds to the first token, and from it to the last */
  const generate = async (ids, count) => {
    const start = seconds();
    let first;
    const onToken = () => ((first ??= seconds()), false);
    await generator.generate({ prompt: { ids }, maxNewTokens: count, stopIds: [], sample: mostLikely, onToken });
    return { before: first - start, after: seconds() - first };
  };
  return {
    assistant,
    decode: () => afresh(async () => tokens / (await generate(draw(16), tokens + 1)).after),
    prefill: () => afresh(async () => promptLength / (await generate(draw(promptLength), 1)).before),
    eight: async () => {
      generator.reset();
      const start = seconds();
      await Promise.all(Array.from({ length: 8 }, () => generate(draw(16), tokens + 1)));
      return (8 * tokens) / (seconds() - start);
    },
    close: () => engine.close(),
  };
}

async function openLlama() {
  const { getLlama } = await import(createRequire(join(options.llama, "package.json")).resolve("node-llama-cpp"));
  const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", maxThreads: threads });
  const loaded = await llama.loadModel({ modelPath: options.gguf });
  const context = await loaded.createContext({ contextSize: 1024, threads, batchSize: promptLength });
  const sequence = context.getSequence();
  return {
    decode: async () => {
      await sequence.clearHistory();
      let [first, count] = [0, 0];
      for await (const _ of sequence.evaluate(draw(16), { temperature: 0, yieldEogToken: true })) {
        if (count === 0) first = seconds();
        if (count++ === tokens) break;
      }
      return tokens / (seconds() - first);
    },
    prefill: async () => {
      await sequence.clearHistory();
      const start = seconds();
      await sequence.evaluateWithoutGeneratingNewTokens(draw(promptLength));
      return promptLength / (seconds() - start);
    },
    close: () => llama.dispose(),
  };
}

/** Seconds to the first word about a picture it has not seen, and to that of the turn that follows. */
async function firstWords(assistant, path) {
  const ask = async (turns, pictures) => {
    const start = seconds();
    let first;
    const onChoice = () => void (first ??= seconds());
    const shown = pictures ?? [await readChatPicture(path)];
    const { text } = await answerTurns(assistant, turns, shown, { maxNewTokens: 8, onChoice });
    return { took: first - start, text, shown };
  };
  const one = [userTurn("What is in this picture?", 1)];
  const { took, text, shown } = await ask(one);
  const two = [...one, textTurn("assistant", text), userTurn("Is there a dog in it?", 0)];
  return [took, (await ask(two, shown)).took];
}

async function startOurs() {
  const start = seconds();
  const ours = await openOurs();
  await ours.decode();
  const first = seconds() - start;
  await ours.close();
  return first;
}

const ours = await openOurs();
const llama = options.llama && options.gguf ? await openLlama() : undefined;
const figures = { decode: [[], []], prefill: [[], []], eight: [[], []] };
for (let round = -1; round < rounds; round++) {
  for (const [what, [mine, theirs]] of Object.entries(figures)) {
    const [a, b] = [await ours[what](), await llama?.[what]?.()];
    // the first round warms up
    if (round < 0) continue;
    mine.push(a);
    if (b !== undefined) theirs.push(b);
  }
}
const turns = [];
if (options.pictures !== undefined) {
  const names = (await readdir(options.pictures)).filter((name) => /\.(jpe?g|png)$/.test(name)).slice(0, 11);
  for (const name of names) turns.push(await firstWords(ours.assistant, join(options.pictures, name)));
}
await llama?.close();
await ours.close();
for (const [what, [mine, theirs]] of Object.entries(figures)) {
  const peer =
    theirs.length === 0
      ? ""
      : `  llama.cpp ${median(theirs).toFixed(1)}  ratio ${(median(mine) / median(theirs)).toFixed(2)}`;
  console.log(`${what.padEnd(8)} ours ${median(mine).toFixed(1)} tokens/s${peer}`);
}
console.log(`eight at once beside one: ${(median(figures.eight[0]) / median(figures.decode[0])).toFixed(2)} ×`);
if (turns.length > 0) {
  const [first, second] = [0, 1].map((i) => median(turns.slice(1).map((took) => took[i])).toFixed(3));
  console.log(`first word about a picture: ${first} s, in the second turn: ${second} s`);
}
const starts = [];
for (let round = 0; round < rounds; round++) starts.push(await startOurs());
console.log(`start, ${tokens} tokens included: ${median(starts).toFixed(2)} s`);
