// The model card (README.md) of every model directory that we write: what it is, what it was made from, how it is run.
import type { LanguageConfig, LlavaConfig } from "./config.ts";
import { tokensPerPicture } from "./config.ts";
import { beyondTransformers } from "./transformers-limits.ts";

/** One stage of training, as the card tells it. */
export interface CardStage {
  readonly name: string;
  readonly train: readonly string[];
  /** names of files alone: a card travels, folders do not */
  readonly data: readonly string[];
  readonly length: string;
  readonly learningRate: string;
}

/** A model that went into this one; `licence` as far as its folder tells. */
export interface CardBase {
  readonly part: string;
  readonly name: string;
  readonly licence?: string | undefined;
}

export interface CardFacts {
  readonly name: string;
  readonly config: LlavaConfig | LanguageConfig;
  readonly bases?: readonly CardBase[];
  readonly stages?: readonly CardStage[];
  /** lines about how it scored, with interval and blind score where they are known */
  readonly scores?: readonly string[];
}

const runMark = ["<!-- how to run -->", "<!-- /how to run -->"] as const;

/** The card of a model directory of ours. */
export function modelCard(facts: CardFacts): string {
  return [head(facts), ...sections(facts), run(ownUsage(facts.config))].join("\n\n") + "\n";
}

export interface ExportCardFacts {
  readonly name: string;
  readonly config: LlavaConfig | LanguageConfig;
  /** Markdown about the tool that the export is for */
  readonly usage: string;
  /** the card of the model that was exported, if it has one */
  readonly source: string | undefined;
}

/** The card of an export: what the model's own card says, with how this form of it is run. */
export function exportCard({ name, config, usage, source }: ExportCardFacts): string {
  if (source === undefined)
    return [head({ name, config }), ...sections({ name, config }), run(usage)].join("\n\n") + "\n";
  const [start, end] = runMark.map((mark) => source.indexOf(mark));
  if (start! < 0 || end! < start!) return `${source.trimEnd()}\n\n${run(usage)}\n`;
  return `${source.slice(0, start)}${run(usage)}${source.slice(end! + runMark[1].length)}`;
}

function head({ name, config, bases = [] }: CardFacts): string {
  const licences = [...new Set(bases.map(({ licence }) => licence).filter((licence) => licence !== undefined))];
  const front = [
    "---",
    `pipeline_tag: ${"vision" in config ? "image-text-to-text" : "text-generation"}`,
    ...(licences.length === 1 && bases.every(({ licence }) => licence !== undefined)
      ? [`license: ${licences[0]}`]
      : []),
    "---",
  ].join("\n");
  return `${front}\n\n# ${name}\n\n${describe(config)}`;
}

function describe(config: LlavaConfig | LanguageConfig): string {
  if (!("vision" in config)) return `A ${config.family} language model: ${languageSize(config)}.`;
  const { vision, projector, language } = config;
  const shuffle = projector.pixelShuffle > 1 ? ` behind a pixel shuffle of ${projector.pixelShuffle}` : "";
  return `A visual assistant made by visual instruction tuning (LLaVA, arXiv 2304.08485):

- vision: ${vision.family}, ${vision.imageSize}×${vision.imageSize} pixels in patches of ${vision.patchSize}, ${vision.layers} layers of ${vision.hiddenSize}
- projector: ${projector.kind}${shuffle}, ${tokensPerPicture(config)} tokens a picture
- language: ${language.family}, ${languageSize(language)}`;
}

const languageSize = (c: LanguageConfig): string =>
  `${c.layers} layers of ${c.hiddenSize}, ${c.vocabSize} tokens, context ${c.maxPositions}`;

function sections({ bases = [], stages = [], scores = [] }: CardFacts): string[] {
  const unknown = "Not recorded in this folder.";
  const baseRows = bases.map(
    ({ part, name, licence }) => `| ${part} | ${cell(name)} | ${cell(licence ?? "not stated in its folder")} |`,
  );
  const stageRows = stages.map(
    (s) => `| ${cell(s.name)} | ${s.train.join(", ")} | ${cell(s.data.join(", "))} | ${s.length} | ${s.learningRate} |`,
  );
  return [
    `## Bases and licences\n\n${tableOr(unknown, "| part | model | licence |\n|---|---|---|", baseRows)}\n\nThe licences of the bases, and of the data, hold for this model too.`,
    `## Data and recipe\n\n${tableOr(unknown, "| stage | trains | data | length | learning rate |\n|---|---|---|---|---|", stageRows)}`,
    `## Scores\n\n${scores.length > 0 ? scores.map((line) => `- ${line}`).join("\n") : "Not measured yet. `llava eval` gives a score with its interval and its blind score."}`,
  ];
}

const tableOr = (otherwise: string, header: string, rows: readonly string[]): string =>
  rows.length === 0 ? otherwise : [header, ...rows].join("\n");
const cell = (text: string): string => text.replaceAll(/[\r\n]+/g, " ").replaceAll("|", "\\|");

const run = (usage: string): string => `${runMark[0]}\n## How to run it\n\n${usage}\n${runMark[1]}`;

function ownUsage(config: LlavaConfig | LanguageConfig): string {
  const llava = "vision" in config;
  const beyond = llava ? beyondTransformers(config) : undefined;
  return [
    `Here: \`npx llava chat FOLDER${llava ? " --image PICTURE" : ""}\`, \`npx llava eval FOLDER …\`.`,
    beyond === undefined
      ? `transformers (Python): \`${llava ? "LlavaForConditionalGeneration" : "AutoModelForCausalLM"}.from_pretrained("FOLDER")\`.`
      : `transformers (Python) can't load it: it has ${beyond.got}. transformers.js can, after \`npx llava export FOLDER --to onnx --out OUT\`.`,
    "For llama.cpp: `npx llava export FOLDER --to gguf --out OUT`, which says what it can't take.",
  ].join("\n\n");
}
