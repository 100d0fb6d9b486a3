// Attention as read equals a decoder written out in plain float64, token by token and head by head.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LanguageConfig } from "../models/config.ts";
import { embeddingName, layerPrefix } from "../models/llama.ts";
import type { PartWeights } from "../models/weights.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { createAttentionReader } from "./attention-maps.ts";
import { causalMask } from "./masks.ts";
import { tinyConfig, tinyWeights } from "./tiny-model.fixture.ts";
import { uploadWeights } from "./weights.ts";

let engine: Engine;
beforeAll(async () => void (engine = await createDirectEngine({ threads: 1 })));
afterAll(() => engine.close());

type Rows = number[][];
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};
const silu = (x: number): number => x / (1 + Math.exp(-x));

/** Rotates halves of a head by position · base^(−2i/D). */
function turn(head: readonly number[], position: number, base: number): number[] {
  const half = head.length / 2;
  return head.map((x, i) => {
    const angle = position * base ** ((-2 * (i % half)) / head.length);
    const other = i < half ? -head[i + half]! : head[i - half]!;
    return x * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** Attention [layer][T][T], mean over `chosen` heads, of a decoder without a single matrix product of the engine's. */
async function plainAttention(
  c: LanguageConfig,
  weights: PartWeights,
  x: Rows,
  chosen = Array.from({ length: c.heads }, (_, h) => h),
): Promise<Rows[]> {
  const all: Rows[] = [];
  let hidden = x;
  for (let layer = 0; layer < c.layers; layer++) {
    const load = (name: string) => weights.load(layerPrefix(layer) + name);
    const norm = async (rows: Rows, name: string): Promise<Rows> => {
      const w = await load(name);
      return rows.map((row) => {
        const scale = 1 / Math.sqrt(dot(row, row) / row.length + c.rmsNormEpsilon);
        return row.map((value, i) => value * scale * w[i]!);
      });
    };
    const linear = async (rows: Rows, name: string): Promise<Rows> => {
      const w = (await load(`${name}.weight`)) as Float32Array;
      const bias = c.queryKeyValueBias && /[qkv]_proj/.test(name) ? await load(`${name}.bias`) : undefined;
      return rows.map((row) =>
        Array.from(
          { length: w.length / row.length },
          (_, o) => dot(row, w.subarray(o * row.length, (o + 1) * row.length)) + (bias?.[o] ?? 0),
        ),
      );
    };
    const heads = (rows: Rows, rotated: boolean) =>
      rows.map((row, t) =>
        Array.from({ length: row.length / c.headSize }, (_, h) => {
          const head = row.slice(h * c.headSize, (h + 1) * c.headSize);
          return rotated ? turn(head, t, c.ropeBase) : head;
        }),
      );
    const normed = await norm(hidden, "input_layernorm.weight");
    const q = heads(await linear(normed, "self_attn.q_proj"), true);
    const k = heads(await linear(normed, "self_attn.k_proj"), true);
    const v = heads(await linear(normed, "self_attn.v_proj"), false);
    const seen = hidden.map(() => hidden.map(() => 0));
    const attended = q.map((own, t) =>
      own.flatMap((query, h) => {
        const group = Math.floor(h / (c.heads / c.keyValueHeads));
        const scores = k.map((keys, s) => {
          const visible = s <= t && t - s < (c.slidingWindow ?? Infinity);
          return visible ? Math.exp(dot(query, keys[group]!) / Math.sqrt(c.headSize)) : 0;
        });
        const total = scores.reduce((sum, score) => sum + score, 0);
        const share = chosen.includes(h) ? 1 / chosen.length : 0;
        scores.forEach((score, s) => (seen[t]![s]! += (share * score) / total));
        return query.map((_, d) => scores.reduce((sum, score, s) => sum + (score / total) * v[s]![group]![d]!, 0));
      }),
    );
    all.push(seen);
    const projected = await linear(attended, "self_attn.o_proj");
    const residual = hidden.map((row, t) => row.map((value, i) => value + projected[t]![i]!));
    const normed2 = await norm(residual, "post_attention_layernorm.weight");
    const [gate, up] = [await linear(normed2, "mlp.gate_proj"), await linear(normed2, "mlp.up_proj")];
    const down = await linear(
      gate.map((row, t) => row.map((value, i) => silu(value) * up[t]![i]!)),
      "mlp.down_proj",
    );
    hidden = residual.map((row, t) => row.map((value, i) => value + down[t]![i]!));
  }
  return all;
}

describe("attention of an answer", () => {
  it.each<[string, Partial<LanguageConfig>]>([
    ["llama", { layers: 3 }],
    ["qwen2 with biases", { family: "qwen2", queryKeyValueBias: true }],
    ["mistral with a window", { family: "mistral", slidingWindow: 5 }],
  ])("%s: sums to 1 and equals the plain computation, pictures in their places", async (_, changes) => {
    const config = tinyConfig(changes);
    const weights = tinyWeights(config, 3);
    const { parameter, release } = await uploadWeights(engine, weights);
    const reader = createAttentionReader(engine, config, { parameter });
    const width = config.hiddenSize;
    const rows = Float32Array.from({ length: 4 * width }, (_, i) => Math.sin(i * 1.7));
    const table = (await weights.load(embeddingName)) as Float32Array;
    // one below a step of padding, one beyond it
    for (const length of [13, 71]) {
      const ids = Array.from({ length }, (_, i) => (i * 29 + 11) % config.vocabSize);
      const pictures = [{ start: 3, count: 4, picture: { key: "p", rows } }];
      const x = ids.map((id, t) =>
        t >= 3 && t < 7
          ? [...rows.subarray((t - 3) * width, (t - 2) * width)]
          : [...table.subarray(id * width, (id + 1) * width)],
      );
      const expected = await plainAttention(config, weights, x);
      const from = length - 4;
      const one = await reader.read({ ids, pictures }, from, { layers: [1] });
      const both = await reader.read({ ids, pictures }, from, { layers: [0, 1] });
      const heads = [0, 3];
      const some = await reader.read({ ids, pictures }, from, { layers: [1], heads });
      const ofHeads = await plainAttention(config, weights, x, heads);
      expect([one.length, one[0]!.length]).toEqual([4, length]);
      for (let i = 0; i < 4; i++) {
        const t = from + i - 1;
        for (const [got, layers, right] of [
          [one[i]!, [1], expected] as const,
          [both[i]!, [0, 1], expected] as const,
          [some[i]!, [1], ofHeads] as const,
        ]) {
          expect(got.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
          for (let s = 0; s < length; s++) {
            const mean = layers.reduce<number>((sum, layer) => sum + right[layer]![t]![s]!, 0) / layers.length;
            expect(Math.abs(got[s]! - mean)).toBeLessThan(2e-6);
          }
        }
      }
    }
    await reader.release();
    release();
  });

  it("reads side by side what it reads alone", async () => {
    const config = tinyConfig();
    const { parameter, release } = await uploadWeights(engine, tinyWeights(config));
    const reader = createAttentionReader(engine, config, { parameter });
    const prompts = [9, 80, 17].map((length) => ({ ids: Array.from({ length }, (_, i) => (i * 7) % 300) }));
    const alone = [];
    for (const prompt of prompts) alone.push(await reader.read(prompt, prompt.ids.length - 2, { layers: [0] }));
    const together = await Promise.all(
      prompts.map((prompt) => reader.read(prompt, prompt.ids.length - 2, { layers: [0] })),
    );
    expect(together).toEqual(alone);
    // one that is given up leaves the others as they were
    const gone = AbortSignal.abort(new Error("left"));
    const [left, stayed] = await Promise.allSettled([
      reader.read(prompts[1]!, 78, { layers: [0] }, gone),
      reader.read(prompts[0]!, 7, { layers: [0] }),
    ]);
    expect(left).toMatchObject({ status: "rejected", reason: { message: "left" } });
    expect(stayed).toEqual({ status: "fulfilled", value: alone[0] });
    await reader.release();
    release();
  });
});

it("makes a causal mask with a window", () => {
  const zeros = [...causalMask(4, 2)].map((value) => (value === 0 ? 1 : 0));
  expect(zeros).toEqual([1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1]);
  expect([...causalMask(3)].filter((value) => value === 0)).toHaveLength(6);
});
