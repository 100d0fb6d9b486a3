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
  /** what trained it, where that was not this program */
  readonly trainedBy?: string;
  /** lines about how it scored, with interval and blind score where they are known */
  readonly scores?: readonly string[];
}

const runMark = ["<!-- how to run -->", "<!-- /how to run -->"] as const;
const scoreMark = ["<!-- scores -->", "<!-- /scores -->"] as const;

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
  return between(source, runMark, run(usage)) ?? `${source.trimEnd()}\n\n${run(usage)}\n`;
}

/** A card of ours with these scores in place of older ones; undefined where it has no place for them. */
export function withScores(card: string, lines: readonly string[]): string | undefined {
  return between(card, scoreMark, scoreSection(lines));
}

/** The text with what stands from mark to mark replaced; undefined where the marks are not there. */
function between(text: string, marks: readonly [string, string], replacement: string): string | undefined {
  const [start, end] = [text.indexOf(marks[0]), text.indexOf(marks[1])];
  if (start < 0 || end < start) return undefined;
  return `${text.slice(0, start)}${replacement}${text.slice(end + marks[1].length)}`;
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

function sections({ bases = [], stages = [], scores = [], trainedBy }: CardFacts): string[] {
  const unknown = "Not recorded in this folder.";
  const baseRows = bases.map(
    ({ part, name, licence }) => `| ${part} | ${cell(name)} | ${cell(licence ?? "not stated in its folder")} |`,
  );
  const stageRows = stages.map(
    (s) => `| ${cell(s.name)} | ${s.train.join(", ")} | ${cell(s.data.join(", "))} | ${s.length} | ${s.learningRate} |`,
  );
  return [
    `## Bases and licences\n\n${tableOr(unknown, "| part | model | licence |\n|---|---|---|", baseRows)}\n\nThe licences of the bases, and of the data, hold for this model too.`,
    `## Data and recipe\n\n${tableOr(unknown, "| stage | trains | data | length | learning rate |\n|---|---|---|---|---|", stageRows)}${trainedBy === undefined ? "" : `\n\nTrained by ${trainedBy}.`}`,
    scoreSection(scores),
  ];
}

function scoreSection(lines: readonly string[]): string {
  const unmeasured =
    "Not measured yet. `llava eval MODEL --both --out RUN/scores/NAME` gives a score with its interval and its blind score, `llava report RUN` writes it here.";
  const told = lines.length > 0 ? lines.map((line) => `- ${line.replaceAll(/[\r\n]+/g, " ")}`).join("\n") : unmeasured;
  return `${scoreMark[0]}\n## Scores\n\n${told}\n${scoreMark[1]}`;
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
