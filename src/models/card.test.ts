// Model cards: what is known is told, what is not is said to be unknown, and text from elsewhere stays text.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { tinyConfig, tinyJson } from "../../test/tiny-model.ts";
import { exportCard, modelCard, withScores } from "./card.ts";
import { readLicence } from "./card-node.ts";

const config = tinyConfig();

describe("a card", () => {
  it("tells bases, licences, stages and scores", () => {
    const card = modelCard({
      name: "mine",
      config,
      bases: [
        { part: "vision", name: "clip", licence: "mit" },
        { part: "language", name: "smol", licence: "mit" },
      ],
      stages: [
        { name: "align", train: ["projector"], data: ["captions.json"], length: "2 epochs", learningRate: "0.001" },
      ],
      scores: ["pope: 81.8 %, blind 69.9 % (n = 500)"],
    });
    expect(card).toMatch(/^---\npipeline_tag: image-text-to-text\nlicense: mit\n---\n\n# mine\n/);
    expect(card).toContain("| align | projector | captions.json | 2 epochs | 0.001 |");
    expect(card).toContain("- pope: 81.8 %, blind 69.9 % (n = 500)");
    expect(card).toContain('LlavaForConditionalGeneration.from_pretrained("FOLDER")');
  });

  it("takes newer scores in place of older ones, as text", () => {
    const card = modelCard({ name: "mine", config });
    const scored = withScores(withScores(card, ["pope: 1 %"])!, ["pope: 81.8 % (78.1 to 85.2)\n# evil", "vqa: 2 %"])!;
    expect(scored).toContain("## Scores\n\n- pope: 81.8 % (78.1 to 85.2) # evil\n- vqa: 2 %\n");
    expect(scored).not.toContain("Not measured yet");
    expect(scored).not.toContain("pope: 1 %");
    expect(scored.length - card.length).toBeLessThan(100);
    expect(withScores("# Theirs", ["a"])).toBeUndefined();
  });

  it("claims no licence that not all bases state, and no scores that there are not", () => {
    const card = modelCard({
      name: "mine",
      config,
      bases: [
        { part: "vision", name: "a", licence: "mit" },
        { part: "language", name: "b" },
      ],
    });
    expect(card).not.toContain("license:");
    expect(card).toContain("not stated in its folder");
    expect(card).toContain("Not measured yet");
  });

  it("says which models transformers can't load", () => {
    const vit = tinyConfig({ vision_config: { ...tinyJson.vision_config, model_type: "vit" } });
    expect(modelCard({ name: "mine", config: vit })).toContain("can't load it: it has a ViT");
  });

  it("keeps names in their cells", () => {
    const card = modelCard({ name: "mine", config, bases: [{ part: "vision", name: "a|b\n# c" }] });
    expect(card).toContain("| vision | a\\|b # c |");
  });

  it("of an export keeps a foreign card and adds how it is run", () => {
    const card = exportCard({ name: "x", config, usage: "Run it.", source: "# Theirs\n\ntext" });
    expect(card).toMatch(/^# Theirs\n\ntext\n\n<!-- how to run -->\n## How to run it\n\nRun it\.\n/);
    const again = exportCard({ name: "x", config, usage: "Otherwise.", source: card });
    expect(again.match(/How to run it/g)).toHaveLength(1);
    expect(again).toContain("Otherwise.");
  });
});

describe("a licence", () => {
  let folder: string;
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "card-"))));
  afterEach(() => rm(folder, { recursive: true }));

  it("is what the card's front matter says, else what LICENSE begins with", async () => {
    expect(await readLicence(folder)).toBeUndefined();
    await writeFile(join(folder, "LICENSE"), "      Apache License\n   Version 2.0, January 2004\n");
    expect(await readLicence(folder)).toBe("apache-2.0");
    await writeFile(join(folder, "README.md"), "---\nlicense: llama2\ntags: [a]\n---\n# x\n");
    expect(await readLicence(folder)).toBe("llama2");
  });

  it("is none where the card is not what it should be", async () => {
    for (const front of ["license: [a", "license: 'a b\\nc'", "- a"]) {
      await writeFile(join(folder, "README.md"), `---\n${front}\n---\n`);
      expect(await readLicence(folder)).toBeUndefined();
    }
  });
});
