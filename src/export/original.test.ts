// LLaVA's own checkpoints, written by PyTorch: whole in shards, as a delta, with SentencePiece's tokenizer.
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeTower } from "../../test/tower.ts";
import { ProtoWriter } from "../formats/protobuf.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import { type LlavaFiles, openLlava } from "../models/node.ts";
import { golden, tinyFiles, tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { importOriginal, type ImportOptions } from "./original.ts";
import { sentencePieceFiles } from "./sentencepiece.ts";

const fixture = (name: string): string => fileURLToPath(new URL(`../../test/golden/${name}`, import.meta.url));
let root: string;
let source: LlavaFiles;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "original-"));
  source = await openLlava(fixture("llava-tiny"));
  await writeTower(at("tower"), source);
  await mkdir(at("tokenizer"));
  await writeFile(join(at("tokenizer"), "tokenizer.model"), sentencePieceModel());
});
afterAll(async () => {
  await source.close();
  await rm(root, { recursive: true });
});
const at = (name: string): string => join(root, name);

const kinds: Readonly<Record<string, number>> = { "<unk>": 2, "<s>": 3, "</s>": 3, "<image>": 4 };

/** The tokenizer of pieces as SentencePiece would keep it: every piece with a score, earlier merges above later ones. */
function sentencePieceModel(): Uint8Array {
  const { vocab, merges } = tinyFiles("pieces_always").tokenizer["model"] as {
    vocab: Record<string, number>;
    merges: (string | [string, string])[];
  };
  const ranks = new Map(merges.map((merge, i) => [[merge].flat().join("").replace(" ", ""), i]));
  const writer = new ProtoWriter();
  for (const [piece] of Object.entries(vocab).toSorted(([, a], [, b]) => a - b)) {
    const kind = kinds[piece] ?? (/^<0x..>$/.test(piece) ? 6 : 1);
    writer.message(1, (one) =>
      one
        .string(1, piece)
        .float(2, -(ranks.get(piece) ?? 1e6))
        .varint(3, kind),
    );
  }
  return writer
    .message(2, (trainer) => trainer.varint(3, 2))
    .message(3, (normalizer) => normalizer.varint(3, 1))
    .finish();
}

const read = (name: string, changes: Partial<ImportOptions> = {}): Promise<void> =>
  importOriginal(fixture(name), {
    out: at("out"),
    vision: at("tower"),
    tokenizer: at("tokenizer"),
    dtype: "F32",
    shardBytes: 1e9,
    force: true,
    ...changes,
  });

async function expectLanguage(imported: LlavaFiles, tolerance: number): Promise<void> {
  for (const name of source.language.shapes.keys()) {
    const [values, expected] = [await imported.language.load(name), await source.language.load(name)];
    // rows of added tokens follow
    const worst = expected.reduce((most, x, i) => Math.max(most, Math.abs(x - values[i]!)), 0);
    expect([name, worst <= tolerance]).toEqual([name, true]);
  }
}

describe("a checkpoint of LLaVA 1.5", () => {
  it("is read whole, in shards of PyTorch's", async () => {
    await read("original-tiny");
    const imported = await openLlava(at("out"));
    await expectLanguage(imported, 0);
    for (const part of ["vision", "projector"] as const) {
      for (const name of source[part].shapes.keys()) {
        expect(await imported[part].load(name)).toEqual(await source[part].load(name));
      }
    }
    const { features, projector, template, imageTokenId } = imported.config;
    expect({ features, kind: projector.kind, template }).toEqual({
      features: { layer: -2, select: "default" },
      kind: "mlp2x_gelu",
      template: "vicuna_v1",
    });
    expect(parsePreprocessor(await imported.preprocessor(), "out").padToSquare).toBe(true);
    const files = await imported.tokenizer();
    expect(createTokenizer(files).controlId("<image>")).toBe(imageTokenId);
    await imported.close();
  });

  it("needs its own kind of config, and a base that fits", async () => {
    await expect(read("llava-tiny")).rejects.toMatchObject({ code: "IMPORT_CONFIG" });
    await expect(read("original-delta", { base: fixture("mistral-tiny") })).rejects.toMatchObject({
      code: "IMPORT_BASE",
    });
  });
});

it("a delta of LLaVA 1.0 is added to its base, rows beyond the base's as they are", async () => {
  await read("original-delta", { base: fixture("original-base"), out: at("delta") });
  const imported = await openLlava(at("delta"));
  await expectLanguage(imported, 1e-6);
  expect(imported.config.projector.kind).toBe("linear");
  expect(await imported.projector.load("linear_1.weight")).toEqual(await source.projector.load("linear_1.weight"));
  await imported.close();
});

it("nothing appears where the tokenizer can't be read", async () => {
  await mkdir(at("bad"));
  await copyFile(fixture("torch-tiny.json"), join(at("bad"), "tokenizer.model"));
  await expect(read("original-tiny", { tokenizer: at("bad"), out: at("never") })).rejects.toMatchObject({
    exitCode: 2,
  });
  expect(await readdir(root)).not.toContain("never");
});

it("SentencePiece's model gives the ids of the tokenizer.json made from the same pieces", async () => {
  const bytes = new Uint8Array(await readFile(join(at("tokenizer"), "tokenizer.model")));
  const files = sentencePieceFiles(bytes, {}, "tokenizer.model");
  const [made, known] = [createTokenizer(files), tinyTokenizer("pieces_always")];
  // SentencePiece puts its space before a space too, tokenizer.json's Metaspace does not
  const texts = golden.strings.filter((text) => !/^([\s▁]|$)/u.test(text));
  expect(texts.map((text) => made.encode(text))).toEqual(texts.map((text) => known.encode(text)));
  expect([made.bos?.id, made.eos?.id]).toEqual([1, 2]);
});
