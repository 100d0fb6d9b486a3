import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { lab } from "../../test/lab.ts";
import { inspect } from "./inspection.ts";
import { run } from "./run.fixture.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "inspect-"))));
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

function writeWeights(name: string, tensors: Readonly<Record<string, number>>): void {
  let end = 0;
  const entry = (n: number) => ({ dtype: "F32", shape: [n], data_offsets: [end, (end += 4 * n)] });
  const entries = Object.entries(tensors).map(([key, n]) => [key, entry(n)]);
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(join(folder, name), Buffer.concat([length, header, Buffer.alloc(end)]));
}

it("folds layers into one line, unless asked for all", async () => {
  writeWeights("a.safetensors", { "layers.0.w": 6, "layers.1.w": 6, "layers.2.w": 5, head: 2 });
  const file = join(folder, "a.safetensors");
  const short = await run("inspect", file);
  expect(short).toContain("safetensors, 4 tensors, 19 parameters");
  expect(short).toMatch(/layers\.N\.w +F32 +\[6\] +24 +× 2\nlayers\.2\.w +F32 +\[5\] +20\nhead /);
  expect(await run("inspect", file, "--tensors")).toMatch(/layers\.0\.w.*\nlayers\.1\.w.*\nlayers\.2\.w/);
});

it("reads the shards that an index names, and no other file", async () => {
  for (const name of ["a", "b", "other"]) writeWeights(`${name}.safetensors`, { [name]: 3 });
  const map = { weight_map: { a: "a.safetensors", b: "b.safetensors" } };
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(map));
  const found = JSON.parse(await run("inspect", folder, "--json")) as {
    parameters: number;
    tensors: { name: string }[];
  };
  expect(found.parameters).toBe(6);
  expect(found.tensors.map(({ name }) => name)).toEqual(["a", "b"]);
});

it("refuses a path with nothing to inspect", async () => {
  await expect(inspect(join(folder, "no"))).rejects.toMatchObject({ code: "INSPECT_NOTHING" });
  await expect(inspect(folder)).rejects.toMatchObject({ code: "INSPECT_NOTHING" });
  writeFileSync(join(folder, "a.txt"), "a picture of a dog");
  await expect(inspect(join(folder, "a.txt"))).rejects.toMatchObject({ code: "SAFETENSORS_INVALID" });
});

describe.skipIf(!lab.present)("the lab's models (needs ../shared)", () => {
  it.each([
    ["goldens/llava-clip-untied", 474_080, { vision: 147_584, projector: 15_552, language: 310_944 }],
    ["models/vit-tiny-patch16-224", 5_717_416, { vision: 5_717_416, projector: 0, language: 0 }],
    ["models/smollm2-135m-instruct", 134_515_008, { vision: 0, projector: 0, language: 134_515_008 }],
  ])("%s", async (path, parameters, parts) => {
    const found = await inspect(lab.path(path));
    expect(found).toMatchObject({ parameters, model: { parameters: parts } });
  });
});
