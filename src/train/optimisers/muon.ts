// Muon for matrices (Jordan et al. 2024, kellerjordan.github.io/posts/muon), AdamW for the rest: 4 bytes a matrix weight.
// Shapes: A rows, B columns of a weight; S the shorter side.
import {
  add,
  divide,
  greaterOrEqual,
  matMul,
  multiply,
  scalar,
  slice,
  sqrt,
  subtract,
  sum,
  swapLast,
  where,
} from "../../graph/build.ts";
import { constant, type Graph, graph, input, type Value } from "../../graph/graph.ts";
import { type Shape, showShape, tensor } from "../../graph/tensor.ts";
import type { Engine, Program } from "../../runtime/engine.ts";
import { adamw } from "./adamw.ts";
import { kept, type Optimiser } from "./optimiser.ts";

/** As torch.optim.Muon's defaults: momentum with Nesterov's look ahead, five iterations of this polynomial. */
const momentum = 0.95;
const iterations = 5;
const [a, b, c] = [3.4445, -4.775, 2.0315];
const smallestNorm = 1e-7;

/** Tables are looked up by row instead of multiplied with, and the head gains nothing: both stay with AdamW. */
const tables = /(^|\.)(embed_tokens|lm_head|position)\b/;
const isMatrix = (name: string, shape: Shape): boolean => shape.length === 2 && !tables.test(name);

/**
 * The nearest orthogonal matrix, roughly: U·S·Vᵀ with singular values S between about 0.7 and 1.2 in place of x's own.
 * Each iteration is x ← p(G)·x with p(G) = a + b·G + c·G² and G = x·xᵀ, from the side where G is [S, S].
 */
export function orthogonalised(x_AB: Value): Value {
  const [rows, columns] = x_AB.shape as [number, number];
  const gram = (x: Value): Value => (rows > columns ? matMul(swapLast(x), x) : matMul(x, swapLast(x)));
  const applied = (p_SS: Value, x: Value): Value => (rows > columns ? matMul(x, p_SS) : matMul(p_SS, x));
  const norm = sqrt(sum(multiply(x_AB, x_AB), [0, 1]));
  let x = divide(x_AB, where(greaterOrEqual(norm, scalar(smallestNorm)), norm, smallestNorm));
  if (Math.max(rows, columns) >= 2 * Math.min(rows, columns)) return applied(allIterations(gram(x)), x);
  for (let i = 0; i < iterations; i++) {
    const gram_SS = gram(x);
    x = add(multiply(x, a), applied(add(multiply(gram_SS, b), multiply(matMul(gram_SS, gram_SS), c)), x));
  }
  return x;
}

/**
 * All iterations as one factor of x, for long matrices: the G after an iteration is p(G)·G·p(G), and these commute, so
 * every product but the first and the last is of [S, S]. A third less work at three times as long as wide.
 */
function allIterations(gram_SS: Value): Value {
  const size = gram_SS.shape[0]!;
  const diagonal = Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? a : 0));
  const a_SS = constant(tensor("float32", [size, size], diagonal));
  const polynomial = (gram: Value): Value => add(a_SS, add(multiply(gram, b), multiply(matMul(gram, gram), c)));
  let [gram, next] = [gram_SS, polynomial(gram_SS)];
  let product_SS = next;
  for (let i = 1; i < iterations; i++) {
    gram = matMul(matMul(gram, next), next);
    next = polynomial(gram);
    product_SS = matMul(product_SS, next);
  }
  return product_SS;
}

/**
 * One step on a matrix: parameter, gradient, momentum [A, B], and factors [3] = (gradient's scale, 1 − ηλ, η') →
 * `next.parameter` and `next.momentum`, which may lie where the old ones are.
 */
export function muonGraph(shape: Shape): Graph {
  const floats = (name: string, of: Shape): Value => input(name, "float32", of);
  const factors = floats("factors", [3]);
  const [scale, decay, rate] = [0, 1, 2].map((i) => slice(factors, 0, i, i + 1)) as [Value, Value, Value];
  const gradient = multiply(floats("gradient", shape), multiply(scale, 1 - momentum));
  const next = add(multiply(floats("momentum", shape), momentum), gradient);
  const ahead = add(gradient, multiply(next, momentum));
  const parameter = subtract(multiply(floats("parameter", shape), decay), multiply(orthogonalised(ahead), rate));
  return {
    ...graph(`Muon ${showShape(shape)}`, { "next.parameter": parameter, "next.momentum": next }),
    inPlace: { "next.parameter": "parameter", "next.momentum": "momentum" },
  };
}

/** Rates are AdamW's: an update of 0.2·√max(A, B) times an orthogonal matrix is as large as AdamW's (arXiv 2502.16982 §2.2). */
const rateFactor = (shape: Shape): number => 0.2 * Math.sqrt(Math.max(...shape));

export function createMuon(engine: Engine): Optimiser {
  const programs = new Map<string, Promise<Program>>();
  const factors = engine.allocate("float32", [3]);
  const programFor = (shape: Shape): Promise<Program> => {
    const program = programs.get(showShape(shape)) ?? engine.load(muonGraph(shape));
    programs.set(showShape(shape), program);
    return program;
  };
  return {
    state: (name, shape) =>
      isMatrix(name, shape) ? { momentum: { dtype: "float32", shape } } : adamw.state(name, shape),
    async update(pass, weight, options) {
      const { name, shape, parameter, gradient } = weight;
      if (!isMatrix(name, shape)) return adamw.update(pass, weight, options);
      const { scale, learningRate, weightDecay } = options;
      const buffer = kept(weight, "momentum", "float32");
      pass
        .write(factors, Float32Array.of(scale, 1 - learningRate * weightDecay, learningRate * rateFactor(shape)))
        .run(
          await programFor(shape),
          { parameter, gradient, momentum: buffer, factors },
          { "next.parameter": parameter, "next.momentum": buffer },
        );
    },
    async release() {
      for (const program of programs.values()) await engine.unload(await program);
      engine.free(factors);
    },
  };
}
