import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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

const golden = (name: string): string => join(import.meta.dirname, "../../test/golden", name);

it.each(["bin", "pt", "pth"])("shows what torch.save wrote, as .%s", async (ending) => {
  const file = join(folder, `a.${ending}`);
  copyFileSync(golden("torch-tiny.bin"), file);
  const found = JSON.parse(await run("inspect", file, "--json")) as { tensors: { name: string }[] };
  expect(found).toMatchObject({ format: "pytorch", parameters: 15 + 7 + 8 + 3 + 24 + 6 + 8 + 2 + 1 + 0 + 3 });
  const facts = new Map(found.tensors.map((tensor) => [tensor.name, tensor]));
  expect(facts.get("brain")).toMatchObject({ dtype: "BF16", shape: [2, 2, 2], bytes: 16 });
  // a view counts as what it shows, not as what it is cut from
  expect(facts.get("columns")).toMatchObject({ dtype: "F32", shape: [4, 2], bytes: 32 });
  expect(facts.get("counts")).toMatchObject({ dtype: "I64", shape: [3], bytes: 24 });
  expect(await run("inspect", file)).toMatch(/: pytorch, 11 tensors, 77 parameters[\s\S]*\nhalf +F16 +\[7\] +14\n/);
});

it("reads a folder of pickled shards, and leaves other .bin files alone", async () => {
  for (const name of ["a.bin", "b.bin"]) copyFileSync(golden("torch-training.bin"), join(folder, name));
  copyFileSync(golden("torch-hostile.bin"), join(folder, "training_args.bin"));
  await expect(inspect(folder)).rejects.toMatchObject({ code: "INSPECT_NOTHING" });
  const map = { weight_map: { x: "a.bin", y: "b.bin" } };
  writeFileSync(join(folder, "pytorch_model.bin.index.json"), JSON.stringify(map));
  expect(await inspect(folder)).toMatchObject({ format: "pytorch", parameters: 2 * 9, files: { length: 2 } });
});

it("executes nothing in a pickle, and says what it would have been", async () => {
  const error = { code: "PICKLE_REFUSED", exitCode: 2, details: { got: expect.stringContaining("print") as string } };
  await expect(run("inspect", golden("torch-hostile.bin"))).rejects.toMatchObject(error);
  writeFileSync(join(folder, "old.pt"), Buffer.of(0x80, 2, 0x8a));
  await expect(inspect(join(folder, "old.pt"))).rejects.toMatchObject({ code: "TORCH_INVALID" });
  writeFileSync(join(folder, "not.pth"), "no archive at all, just words that go on for a while");
  await expect(inspect(join(folder, "not.pth"))).rejects.toMatchObject({ code: "ZIP_INVALID" });
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
