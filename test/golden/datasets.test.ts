// Samples as Parquet by Hugging Face's `datasets`: it sees our pictures and messages, and we read what it writes.
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { streamParquetSamples } from "../../src/data/parquet-samples.ts";
import type { Sample } from "../../src/data/sample.ts";
import { writeSamples } from "../../src/data/samples.ts";
import { encodePng } from "../../src/image/node.ts";

const script = fileURLToPath(new URL("hf_datasets.py", import.meta.url));
const python = process.env["LLAVA_PYTHON"];

describe.skipIf(python === undefined)("datasets (LLAVA_PYTHON names a Python that has it)", () => {
  it("loads our Parquet and writes it so that we read the same samples", async () => {
    const folder = await mkdtemp(join(tmpdir(), "datasets-"));
    const at = (name: string): string => join(folder, name);
    try {
      for (const [name, width] of [
        ["a.png", 21],
        ["b.png", 8],
      ] as const) {
        await writeFile(
          at(name),
          await encodePng({ width, height: 17, data: new Uint8Array(width * 17 * 3).fill(width) }),
        );
      }
      const turns = (human: string, gpt: string): Sample["conversations"] => [
        { from: "human", value: human },
        { from: "gpt", value: gpt },
      ];
      const samples: Sample[] = [
        {
          id: "1",
          images: ["a.png"],
          conversations: turns("<image>\nWhat?", "A — 犬."),
          extra: { kind: "vqa" },
          where: "",
        },
        { id: "2", images: [], conversations: turns("Hi", ""), extra: {}, where: "" },
        { id: "3", images: ["a.png", "b.png"], conversations: turns("<image><image>", "Two."), extra: {}, where: "" },
      ];
      await writeSamples(at("ours.parquet"), samples, folder);
      const env = { ...process.env, HF_HUB_OFFLINE: "1", HF_DATASETS_CACHE: at("cache"), HF_HOME: at("home") };
      const printed = execFileSync(python!, [script, at("ours.parquet"), at("theirs.parquet")], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
        env,
      });
      const rows = printed
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown);
      const text = (role: string, value: string) => ({ role, content: [{ type: "text", text: value }] });
      const picture = { type: "image", text: null };
      expect(rows).toEqual([
        {
          id: "1",
          sizes: [[21, 17]],
          messages: [
            { role: "user", content: [picture, { type: "text", text: "What?" }] },
            text("assistant", "A — 犬."),
          ],
          metadata: '{"kind":"vqa"}',
        },
        { id: "2", sizes: [], messages: [text("user", "Hi"), text("assistant", "")], metadata: "{}" },
        {
          id: "3",
          sizes: [
            [21, 17],
            [8, 17],
          ],
          messages: [{ role: "user", content: [picture, picture] }, text("assistant", "Two.")],
          metadata: "{}",
        },
      ]);
      const back: Sample[] = [];
      for await (const { sample } of streamParquetSamples(at("theirs.parquet"))) back.push({ ...sample, where: "" });
      expect(back).toEqual(samples);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 120_000);
});
