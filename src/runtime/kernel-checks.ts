// What a kernel call must satisfy before it is sent: sizes that fit, dtypes, ranges.
import { BugError } from "../errors.ts";
import { blockBytes, blockElements } from "../formats/q4.ts";
import { type DType, showShape, sizeOf } from "../graph/tensor.ts";
import type { EngineBuffer } from "./engine.ts";
import { buffersOf, type KernelCall } from "./kernel-calls.ts";
import { momentBlock } from "./moments.ts";

type Check<K extends KernelCall["kernel"]> = (call: Extract<KernelCall, { kernel: K }>) => void;

const checks: { readonly [K in KernelCall["kernel"]]: Check<K> } = {
  adamw(call) {
    const { parameter, gradient, m, v, step } = call;
    for (const [name, other] of Object.entries({ gradient, m, v }))
      sameSize(call, name, other, sizeOf(parameter.shape));
    need(call, "step", Number.isInteger(step) && step >= 1, "a whole number from 1", String(step));
  },
  adamw8bit(call) {
    const { parameter, gradient, m, v, scales, step } = call;
    const size = sizeOf(parameter.shape);
    for (const [name, other] of Object.entries({ gradient, m, v })) sameSize(call, name, other, size);
    sameSize(call, "scales", scales, 2 * Math.ceil(size / momentBlock));
    need(call, "step", Number.isInteger(step) && step >= 1, "a whole number from 1", String(step));
  },
  sumSquares(call) {
    sameSize(call, "into", call.into, 1);
  },
  fill() {},
  scale() {},
  addInto(call) {
    sameSize(call, "from", call.from, sizeOf(call.into.shape));
  },
  gatherRows(call) {
    sameSize(call, "into", call.into, rowElements(call));
  },
  scatterAddRows(call) {
    sameSize(call, "from", call.from, rowElements(call));
  },
  addAt(call) {
    const { into, ids } = call;
    need(
      call,
      "into",
      into.shape.length === 2 && into.shape[0] === sizeOf(ids.shape),
      `[${sizeOf(ids.shape)}, V]`,
      showShape(into.shape),
    );
  },
  copyBlocks(call) {
    const { from, into, blocks, length, fromStride, intoStride, fromOffset = 0, intoOffset = 0 } = call;
    need(call, "into", from.dtype === into.dtype, from.dtype, into.dtype);
    span(call, "from", from, { blocks, length, stride: fromStride, offset: fromOffset });
    span(call, "into", into, { blocks, length, stride: intoStride, offset: intoOffset });
  },
  dequantise(call) {
    const { codes, scales, minima = scales, into } = call;
    sameSize(call, "minima", minima, sizeOf(scales.shape));
    sameSize(call, "codes", codes, blockBytes * sizeOf(scales.shape));
    sameSize(call, "into", into, blockElements * sizeOf(scales.shape));
  },
};

const anyType: ReadonlySet<string> = new Set(["fill", "copyBlocks"]);

/** Throws `KERNEL_ARGUMENT` naming the kernel and the argument. */
export function checkCall(call: KernelCall): void {
  if (!anyType.has(call.kernel)) {
    const others = otherTypes(call);
    for (const buffer of buffersOf(call)) {
      const dtype = others.get(buffer) ?? "float32";
      need(call, `buffer ${buffer.id}`, buffer.dtype === dtype, dtype, buffer.dtype);
    }
  }
  (checks[call.kernel] as Check<typeof call.kernel>)(call as never);
}

/** Buffers that are not to hold float32. */
function otherTypes(call: KernelCall): ReadonlyMap<EngineBuffer, DType> {
  if (call.kernel === "dequantise") {
    const { codes, scales, minima = scales } = call;
    return new Map<EngineBuffer, DType>([
      [codes, "uint8"],
      [scales, "float16"],
      [minima, "float16"],
    ]);
  }
  if (call.kernel === "adamw8bit") return new Map([call.m, call.v].map((moment) => [moment, "uint8"]));
  return new Map("ids" in call ? [[call.ids, "int32"]] : []);
}

function need(call: KernelCall, argument: string, holds: boolean, expected: string, got: string): void {
  if (!holds) throw new BugError("KERNEL_ARGUMENT", { expected, got, where: `${call.kernel}.${argument}` });
}

function sameSize(call: KernelCall, argument: string, buffer: EngineBuffer, size: number): void {
  need(call, argument, sizeOf(buffer.shape) === size, `${size} elements`, showShape(buffer.shape));
}

function rowElements(call: Extract<KernelCall, { readonly table: EngineBuffer }>): number {
  const { table, ids, transposed = false } = call;
  need(call, "table", table.shape.length === 2, transposed ? "[D, V]" : "[V, D]", showShape(table.shape));
  return sizeOf(ids.shape) * table.shape[transposed ? 0 : 1]!;
}

interface Span {
  readonly blocks: number;
  readonly length: number;
  readonly stride: number;
  readonly offset: number;
}

function span(
  call: KernelCall,
  argument: string,
  buffer: EngineBuffer,
  { blocks, length, stride, offset }: Span,
): void {
  const whole = [blocks, length, stride, offset].every((n) => Number.isInteger(n) && n >= 0);
  const end = blocks === 0 || length === 0 ? 0 : offset + (blocks - 1) * stride + length;
  const size = sizeOf(buffer.shape);
  need(call, argument, whole && end <= size, `blocks that end within ${size} elements`, `an end at ${end}`);
}
