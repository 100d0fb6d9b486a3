// Where a training step's time goes, and how near its matrix products come to what MLAS makes of the same shapes alone.
// Two measures: wall seconds, which count on a quiet machine only, and CPU seconds, which other work hardly changes.
//
//   npm run build && node bench/gemm-roof.mjs [--threads 2] [--rounds 8] [--rows 4] [--length 256]
//
// With --threads 1, CPU seconds are the products' own; with more, threads that wait for each other count too.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { matMul, swapLast, transposedCopy } from "../dist/graph/build.js";
import { encodeModel, sequenceOutput } from "../dist/graph/encode.js";
import { graph, input } from "../dist/graph/graph.js";
import { sizeOf } from "../dist/graph/tensor.js";
import { parseLanguageConfig } from "../dist/models/config.js";
import { sessionOptions } from "../dist/runtime/executor-node.js";
import { layerGraphs } from "../dist/train/decoder.js";
import { headGraphs } from "../dist/train/head.js";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "8" },
    rows: { type: "string", default: "4" },
    length: { type: "string", default: "256" },
  },
});
const [threads, rounds, rows, length] = [values.threads, values.rounds, values.rows, values.length].map(Number);
const tokens = rows * length;
const language = parseLanguageConfig(
  {
    model_type: "llama",
    vocab_size: 49152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    head_dim: 64,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    rope_theta: 100000,
    tie_word_embeddings: true,
  },
  "bench",
);
const headRows = 256;

/** Runs a graph on fixed memory; `profile` is where ONNX Runtime writes what each node took. */
async function prepare(made, profile) {
  const session = await InferenceSession.create(encodeModel(made, { leadingSequence: true }), {
    ...sessionOptions(threads),
    ...(profile && { enableProfiling: true, profileFilePrefix: profile }),
  });
  const value = ({ name, dtype, shape }) => {
    const data = dtype === "int32" ? new Int32Array(sizeOf(shape)) : new Float32Array(sizeOf(shape));
    if (dtype === "float32" && name !== "mask") for (let i = 0; i < data.length; i++) data[i] = Math.random() - 0.5;
    return [name, new Tensor(dtype, data, shape)];
  };
  const [inputs, outputs] = [made.inputs, made.outputs].map((list) => Object.fromEntries(list.map(value)));
  const run = async () => {
    const [started, cpu] = [performance.now(), process.cpuUsage()];
    try {
      await session.run(inputs, { [sequenceOutput]: null, ...outputs });
    } catch (error) {
      // how outputs are written in place: see src/runtime/zero-copy-node.ts
      if (!error.message.startsWith("Non tensor type")) throw error;
    }
    const { user, system } = process.cpuUsage(cpu);
    return { wall: performance.now() - started, cpu: (user + system) / 1000 };
  };
  return { session, run };
}

async function least(run) {
  const runs = [];
  for (let i = 0; i < rounds; i++) runs.push(await run());
  return { wall: Math.min(...runs.map(({ wall }) => wall)), cpu: Math.min(...runs.map(({ cpu }) => cpu)) };
}

/** Milliseconds of MLAS for m×k · k×n in the form that a step uses: plain, right operand transposed, left one copied. */
async function product(name, form, [m, n, k]) {
  const of = {
    A·B: () => matMul(input("a", "float32", [m, k]), input("b", "float32", [k, n])),
    A·Bᵀ: () => matMul(input("a", "float32", [m, k]), swapLast(input("b", "float32", [n, k]))),
    Aᵀ·B: () => matMul(swapLast(input("a", "float32", [k, m])), input("b", "float32", [k, n])),
    "copy(Aᵀ)·B": () => matMul(transposedCopy(input("a", "float32", [k, m])), input("b", "float32", [k, n])),
  };
  const { session, run } = await prepare(graph(name, { y: of[form]() }));
  const time = await least(run);
  await session.release();
  const gflop = (2 * m * n * k) / 1e9;
  const row = [name.padEnd(26), form.padEnd(11), [m, n, k].join("×").padEnd(15)];
  const speeds = [time.wall, time.cpu].map((ms) => `${((1000 * gflop) / ms).toFixed(0).padStart(5)}`);
  console.log(`${row.join(" ")} ${gflop.toFixed(2).padStart(6)} GFLOP  ${speeds.join("  ")}`);
}

const kinds = [
  ["products", /^(MatMul|FusedMatMul|Gemm)$/],
  ["element-wise", /^(Mul|Add|Sub|Neg|Sigmoid|QuickGelu|Sqrt|Reciprocal|Log)$/],
  ["softmax, norms, sums", /^(Softmax|Reduce|SimplifiedLayer|Skip)/],
  ["moves", /^(Transpose|Concat|Slice|Split|Pad|Gather|Reshape|Expand)/],
];

/** A program's products against its time, and what its nodes are, by ONNX Runtime's profile. */
async function program(name, made, times) {
  const gflop = made.values.reduce((sum, value) => {
    if (value.node.kind !== "op" || value.node.op !== "MatMul") return sum;
    return sum + (2 * sizeOf(value.shape) * value.node.inputs[0].shape.at(-1)) / 1e9;
  }, 0);
  const plain = await prepare(made);
  const time = await least(plain.run);
  await plain.session.release();
  const folder = mkdtempSync(join(tmpdir(), "roof-"));
  const profiled = await prepare(made, join(folder, "profile"));
  for (let i = 0; i < rounds; i++) await profiled.run();
  profiled.session.endProfiling();
  await profiled.session.release();
  const shares = sharesOf(JSON.parse(readFileSync(join(folder, readdirSync(folder)[0]), "utf8")));
  rmSync(folder, { recursive: true });
  const cells = [time.wall, time.cpu].map(
    (ms) => `${ms.toFixed(1).padStart(7)} ms ${((1000 * gflop) / ms).toFixed(0).padStart(4)}`,
  );
  console.log(`${name.padEnd(16)} ${gflop.toFixed(2).padStart(6)} GFLOP  ${cells.join("  ")}  ${shares}`);
  return { wall: times * time.wall, cpu: times * time.cpu, gflop: times * gflop };
}

function sharesOf(events) {
  const nodes = new Map();
  for (const { cat, name, dur, args } of events) {
    if (cat !== "Node" || !name.endsWith("_kernel_time")) continue;
    const before = nodes.get(name);
    nodes.set(name, { op: args.op_name, dur: Math.min(dur, before?.dur ?? Infinity) });
  }
  const all = [...nodes.values()];
  const total = all.reduce((sum, { dur }) => sum + dur, 0);
  return kinds
    .map(([kind, ops]) => {
      const of = all.filter(({ op }) => ops.test(op)).reduce((sum, { dur }) => sum + dur, 0);
      return `${kind} ${((100 * of) / total).toFixed(0)} %`;
    })
    .join(", ");
}

console.log(`${cpus()[0].model}, ${threads} threads, ${rows} × ${length} tokens; least of ${rounds} runs\n`);
console.log(`MLAS alone${" ".repeat(51)}GFLOPS by wall, by CPU seconds`);
const [e, f, kv, v] = [576, 1536, 192, 49152];
await product("q, o", "A·Bᵀ", [tokens, e, e]);
await product("k, v", "A·Bᵀ", [tokens, kv, e]);
await product("gate, up", "A·Bᵀ", [tokens, f, e]);
await product("down", "A·Bᵀ", [tokens, e, f]);
await product("gradient through gate, up", "A·B", [tokens, e, f]);
await product("gradient of gate, up", "copy(Aᵀ)·B", [e, f, tokens]);
await product("the same, folded", "Aᵀ·B", [e, f, tokens]);
await product("gradient of down", "copy(Aᵀ)·B", [e, f, tokens]);
await product("logits", "A·Bᵀ", [headRows, v, e]);
await product("gradient of the head", "Aᵀ·B", [v, e, headRows]);
console.log(`\nprograms${" ".repeat(26)}by wall: ms, GFLOPS   by CPU seconds      of the nodes' time`);
const layer = layerGraphs(language, { rows, length }, { trains: "weights" });
const parts = [
  await program("layer forward", layer.forward, 30),
  await program("layer backward", layer.backward, 30),
  await program(`head, ${headRows} rows`, headGraphs(language, headRows).backward, tokens / headRows),
];
const sum = (key) => parts.reduce((total, part) => total + part[key], 0);
console.log(
  `\na step's programs: ${sum("gflop").toFixed(0)} GFLOP, ${(sum("wall") / 1000).toFixed(2)} s by wall, ${(sum("cpu") / 1000).toFixed(2)} CPU seconds`,
);
