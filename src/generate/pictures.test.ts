// A picture goes through the tower once: by its content, however often and however many at a time it is asked for.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { openLlava } from "../models/node.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { createPictureProjector, createPictureReader, type PictureReader } from "./pictures.ts";
import { uploadWeights } from "./weights.ts";

let engine: Engine;
let reader: PictureReader;
const pixels = (seed: number): Float32Array => Float32Array.from({ length: 3 * 32 * 32 }, (_, i) => Math.sin(i * seed));

// skipped where ../shared does not lie beside the project
describe.skipIf(!lab.present)("reading pictures", () => {
  beforeAll(async () => {
    engine = await createDirectEngine({ threads: 1 });
    const files = await openLlava(lab.path("goldens/llava-siglip-tied"));
    const { parameter } = await uploadWeights(engine, files.projector);
    const projector = await createPictureProjector(engine, files.config, parameter);
    reader = await createPictureReader(engine, files.config, files.vision, projector);
    await files.close();
  });
  afterAll(async () => {
    await reader.release();
    await engine.close();
  });

  it("encodes each content once, in any order and together", async () => {
    const encoded: string[] = [];
    const read = (key: string, seed: number) =>
      reader.read(key, () => {
        encoded.push(key);
        return [pixels(seed)];
      });
    const [a, b, again] = await Promise.all([read("a", 1), read("b", 2), read("a", 1)]);
    expect(encoded).toEqual(["a", "b"]);
    expect(again).toBe(a);
    expect(a.rows).toHaveLength(16 * 96);
    expect(b.rows).not.toEqual(a.rows);
    expect((await read("c", 1)).rows).toEqual(a.rows);
    expect(await read("a", 1)).toBe(a);
  });

  it("tries a picture again that could not be read, and reads others meanwhile", async () => {
    const broken = reader.read("d", () => Promise.reject(new RangeError("unreadable")));
    const other = reader.read("e", () => [pixels(4)]);
    await expect(broken).rejects.toThrow("unreadable");
    expect((await other).key).toBe("e");
    expect((await reader.read("d", () => [pixels(5)])).key).toBe("d");
  });
});
