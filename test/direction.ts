// Our gradients against central differences in one random direction.
import { expect } from "vitest";
import { gradients } from "../src/autodiff/backward.ts";
import type { Value } from "../src/graph/graph.ts";
import type { Tensor } from "../src/graph/tensor.ts";
import { evaluate } from "./evaluate.ts";
import { inputOf, numbers, randomTensor, tensorOf } from "./tensors.ts";

const h = 2 ** -6;
const [inputGrid, directionGrid] = [2 ** -8, 2 ** -2];

const onGrid = (t: Tensor, grid: number): Tensor =>
  tensorOf(
    t.dtype,
    t.shape,
    numbers(t).map((x) => Math.round(x / grid) * grid),
  );
const unit = (dtype: Tensor["dtype"], shape: Tensor["shape"], seed: string): Tensor =>
  onGrid(randomTensor(dtype, shape, seed, { low: -1, high: 1 }), directionGrid);
const products = (a: Tensor, b: Tensor): number[] => {
  const right = numbers(b);
  return numbers(a).map((x, i) => x * right[i]!);
};
const sum = (xs: readonly number[]): number => xs.reduce((total, x) => total + x, 0);

/**
 * With u a seed and v a direction over all float32 operands, ⟨v, Jᵀu⟩ from our gradients must equal d⟨u, f(x + tv)⟩/dt,
 * taken as (8(f₁ − f₋₁) − (f₂ − f₋₂)) / 12h with fₖ at t = kh, whose own error is h⁴/30 · f⁽⁵⁾ = 2e-9 · f⁽⁵⁾.
 * Operands, v and u lie on binary grids, so that x + kh·v and casts to float16 are exact. What is left is the rounding of
 * f, 6e-8 · 1.5/h = 6e-6 of Σ|u·f| for each rounding of full size.
 * @returns the distance of the two, as a part of 1 + Σ|v·g| + Σ|u·f|
 */
export async function directionError(
  f: (operands: Readonly<Record<string, Value>>) => Value,
  operands: Readonly<Record<string, Tensor>>,
  seed: number,
): Promise<number> {
  const names = Object.keys(operands);
  const x = Object.fromEntries(Object.entries(operands).map(([name, t]) => [name, onGrid(t, inputGrid)]));
  const smooth = names.filter((name) => x[name]!.dtype === "float32");
  const v = Object.fromEntries(smooth.map((name) => [name, unit("float32", x[name]!.shape, `v ${name} ${seed}`)]));
  const inputsAt = (k: number): Record<string, Value> =>
    Object.fromEntries(names.map((name) => [name, inputOf(`${name} at ${k}`, x[name]!)]));
  const feeds: Record<string, Tensor> = {};
  for (const k of [-2, -1, 0, 1, 2]) {
    for (const name of names) {
      const [from, along] = [x[name]!, v[name]];
      const moved = (n: number, i: number): number => n + k * h * numbers(along!)[i]!;
      feeds[`${name} at ${k}`] = along ? tensorOf(from.dtype, from.shape, numbers(from).map(moved)) : from;
    }
  }

  const inputs = inputsAt(0);
  const y = f(inputs);
  const u = unit(y.dtype, y.shape, `u ${seed}`);
  const g = gradients(new Map([[y, inputOf("u", u)]]), Object.values(inputs));
  // exactly the float32 operands have a gradient, of their own type
  expect(g.map((part) => part && [part.dtype, part.shape])).toEqual(
    names.map((name) => (name in v ? ["float32", x[name]!.shape] : undefined)),
  );
  const got = (await evaluate(
    {
      y,
      ...Object.fromEntries([-2, -1, 1, 2].map((k) => [`y${k}`, f(inputsAt(k))])),
      ...Object.fromEntries(g.flatMap((part, i) => (part ? [[`gradient of ${names[i]!}`, part]] : []))),
    },
    { ...feeds, u },
  )) as Record<string, Tensor>;
  const along = (k: number): number => sum(products(u, got[`y${k}`]!));
  const numeric = (8 * (along(1) - along(-1)) - (along(2) - along(-2))) / (12 * h);
  const ours = smooth.flatMap((name) => products(v[name]!, got[`gradient of ${name}`]!));
  const scale = 1 + sum(ours.map(Math.abs)) + sum(products(u, got["y"]!).map(Math.abs));
  return Math.abs(sum(ours) - numeric) / scale;
}
