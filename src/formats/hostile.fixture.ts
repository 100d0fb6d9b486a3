// What every reader of untrusted bytes is put through: cuts, extreme lengths everywhere, random mutations.
import fc from "fast-check";
import { expect } from "vitest";
import { InputError } from "../errors.ts";

/** Opens the bytes and loads all that they promise. */
type Reader = (bytes: Uint8Array) => Promise<void>;

/** No input may take longer, even on a busy machine. */
const MOST_MILLISECONDS = 2000;

/** Either all is well or a typed error says why; returns its code. */
export async function survives(read: Reader, bytes: Uint8Array): Promise<string | undefined> {
  const start = performance.now();
  try {
    await read(bytes);
    return undefined;
  } catch (error) {
    if (!(error instanceof InputError))
      throw new Error(`not a typed error for ${Buffer.from(bytes).toString("hex")}`, { cause: error });
    expect(error.details.where).toContain("memory");
    return error.code;
  } finally {
    expect(performance.now() - start).toBeLessThan(MOST_MILLISECONDS);
  }
}

/** Every proper prefix is refused. */
export async function refusesEveryCut(read: Reader, seed: Uint8Array): Promise<void> {
  for (let length = 0; length < seed.length; length++) {
    expect(await survives(read, seed.slice(0, length)), `cut to ${length} bytes`).toBeDefined();
  }
}

/** Writes extreme 64-bit lengths over every position of the first `within` bytes; returns how many were refused. */
export async function extremeLengths(read: Reader, seed: Uint8Array, within: number): Promise<number> {
  const lengths = [0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
  let refused = 0;
  for (let at = 0; at + 8 <= Math.min(within, seed.length); at++) {
    for (const length of lengths) {
      const bytes = seed.slice();
      new DataView(bytes.buffer).setBigUint64(at, length, true);
      if ((await survives(read, bytes)) !== undefined) refused++;
    }
  }
  return refused;
}

/** Random edits: bytes replaced, runs copied elsewhere, pieces cut out or repeated. */
export async function survivesMutations(read: Reader, seed: Uint8Array, numRuns: number): Promise<void> {
  const place = fc.nat({ max: seed.length - 1 });
  const edit = fc.tuple(
    fc.constantFrom("set", "copy", "cut", "repeat"),
    place,
    place,
    fc.integer({ min: 0, max: 255 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 6 }), async (edits) => {
      let bytes = seed;
      for (const [kind, a, b, value] of edits) bytes = edited(bytes, kind, a, b, value);
      await survives(read, bytes);
    }),
    { numRuns },
  );
}

function edited(bytes: Uint8Array, kind: string, a: number, b: number, value: number): Uint8Array {
  if (kind === "set") return bytes.with(Math.min(a, bytes.length - 1), value);
  const [low, high] = a < b ? [a, b] : [b, a];
  if (kind === "copy") return bytes.slice().copyWithin(low, high, high + (value % 16));
  const end = Math.min(high, low + (value % 32));
  return Buffer.concat(
    kind === "cut" ? [bytes.subarray(0, low), bytes.subarray(end)] : [bytes.subarray(0, end), bytes.subarray(low)],
  );
}
