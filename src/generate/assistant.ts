// A model that answers: conversations with pictures in, text out as it becomes certain.
import { InputError } from "../errors.ts";
import type { Pixels } from "../image/pixels.ts";
import { preprocess } from "../image/preprocess.ts";
import type { Preprocessor } from "../image/preprocessor.ts";
import { pictureViews, viewCount } from "../image/tiles.ts";
import { type ChatTurn, imagesIn, type Part, textTurn } from "../text/conversation.ts";
import { type Encoded, encodeConversation, encodePrompt } from "../text/encode.ts";
import { expandImages, type ImageRun } from "../text/expand.ts";
import type { Template } from "../text/segments.ts";
import { controlIdOf } from "../text/templates.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { collectText } from "./answer-text.ts";
import type { AttentionReader } from "./attention-maps.ts";
import type { Constraint } from "./constraint.ts";
import type { FinishReason, Generation, PictureTokens, Prompt } from "./generation.ts";
import type { Generator } from "./generator.ts";
import type { PictureReader } from "./pictures.ts";
import { createSampler } from "./sampling.ts";
import type { SamplingOptions } from "./sampling-options.ts";

/** What sees: a reader of features, and what it expects of a picture. */
export interface Sight {
  readonly reader: PictureReader;
  readonly preprocessor: Preprocessor;
  readonly imageTokenId: number;
  /** most tiles of a picture; absent: it is seen whole alone */
  readonly tiles?: number;
}

/** All that answering needs. `sight` is absent for bare language models. */
export interface Assistant {
  readonly generator: Generator;
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  /** ids that end an answer, besides the template's own end */
  readonly endIds: readonly number[];
  readonly sight?: Sight;
  /** absent where nobody asks what answers look at */
  readonly attention?: AttentionReader;
  /** the model, for errors */
  readonly where: string;
  /** frees what it holds in the engine; nothing may be under way */
  release(): Promise<void>;
}

/** An upright picture and what identifies it: a hash of its bytes. */
export interface Picture {
  readonly key: string;
  readonly pixels: Pixels;
  /** the file it was read from */
  readonly path?: string;
}

export interface AnswerOptions extends SamplingOptions {
  /** 512 unless told; the context's end comes first */
  readonly maxNewTokens?: number;
  /** texts that end the answer and are not part of it */
  readonly stopTexts?: readonly string[];
  /** text as it becomes certain, never half a character; joined it is the answer's text */
  readonly onText?: ((text: string) => void) | undefined;
  /** told of each token and of the logits [V] it was chosen from, before its text */
  readonly onChoice?: ((id: number, logits: Float32Array) => void) | undefined;
  /** holds the answer to a grammar */
  readonly constraint?: Constraint | undefined;
  /** ends the answer where it is, as `interrupted` */
  readonly signal?: AbortSignal | undefined;
}

/** An answer as `--json` prints it. */
export interface Answer {
  readonly text: string;
  /** as generated, with the token that ended it */
  readonly token_ids: readonly number[];
  /** pictures expanded */
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly finish_reason: FinishReason;
  /** from the question to the last token */
  readonly seconds: number;
}

const defaultMaxNewTokens = 512;

/**
 * Answers the last turn, which is the user's; `pictures` belong to the turns' image parts in order.
 * Throws `MODEL_TEXT_ONLY` when a bare language model is given a picture, `PROMPT_TOO_LONG`, `SAMPLING_OPTION`, and what
 * template and engine throw.
 */
export async function answerTurns(
  assistant: Assistant,
  turns: readonly ChatTurn[],
  pictures: readonly Picture[],
  options: AnswerOptions = {},
): Promise<Answer> {
  const [answer] = await answerChoices(assistant, turns, pictures, [options]);
  return answer!;
}

/** Answers as `answerTurns` does, once for each of `choices`, all computed together. */
export async function answerChoices(
  assistant: Assistant,
  turns: readonly ChatTurn[],
  pictures: readonly Picture[],
  choices: readonly AnswerOptions[],
): Promise<Answer[]> {
  const started = performance.now();
  const prompt = await readPrompt(assistant, turns, pictures);
  const answer = async (options: AnswerOptions): Promise<Answer> => {
    const { text, generation } = await answerPrompt(assistant, prompt, options);
    return {
      text,
      token_ids: generation.ids,
      prompt_tokens: generation.promptTokens,
      completion_tokens: generation.ids.length,
      finish_reason: generation.finishReason,
      seconds: (performance.now() - started) / 1000,
    };
  };
  return Promise.all(choices.map(answer));
}

/** Turns as a prompt, their pictures read. Throws `MODEL_TEXT_ONLY` and what the template throws. */
export async function readPrompt(
  assistant: Assistant,
  turns: readonly ChatTurn[],
  pictures: readonly Picture[],
): Promise<Prompt> {
  const { sight } = assistant;
  const views = pictures.map(({ pixels }) => (sight === undefined ? 1 : viewsIn(pixels, sight)));
  const written = writeTurns(assistant, turns, views);
  const read =
    sight === undefined ? [] : pictures.map((one) => sight.reader.read(one.key, () => viewsOf(one.pixels, sight)));
  return placePictures(written, await Promise.all(read));
}

/**
 * Continues a prompt as an answer, ended where the template ends answers. Throws as `Generator.generate`,
 * `SAMPLING_OPTION`, and what the constraint throws.
 */
export async function answerPrompt(
  { generator, tokenizer, template, endIds }: Assistant,
  prompt: Prompt,
  options: AnswerOptions = {},
): Promise<{ readonly text: string; readonly generation: Generation }> {
  const { maxNewTokens = defaultMaxNewTokens, onText, onChoice, constraint, signal } = options;
  const sample = createSampler(options, prompt.ids);
  const end = answerEnd(template, tokenizer);
  const endTexts = [...(options.stopTexts ?? []), ...(end.text === undefined ? [] : [end.text])];
  const text = collectText(tokenizer.stream({ skipControl: true }), { endTexts, onText });
  const stopIds = [...endIds, ...(end.id === undefined ? [] : [end.id])];
  let failure: unknown;
  // thrown here it would end the answers that are computed beside this one
  const masked = (logits: Float32Array): Float32Array => {
    try {
      return constraint?.mask(logits, stopIds) ?? logits;
    } catch (error) {
      failure = error;
      return logits;
    }
  };
  const generation = await generator.generate({
    prompt,
    maxNewTokens,
    stopIds,
    sample: (logits) => {
      const id = sample(masked(logits));
      onChoice?.(id, logits);
      return id;
    },
    signal,
    onToken: (id) => failure !== undefined || text.push(id) || constraint?.push(id) === true,
  });
  if (failure !== undefined) throw failure;
  return { text: text.end(), generation };
}

/** A user's turn: pictures first, each on its own line, as LLaVA writes them. */
export function userTurn(text: string, pictures: number): ChatTurn {
  const shown = Array.from({ length: pictures }, (_, i): Part[] => [
    { type: "image" },
    { type: "text", text: i < pictures - 1 ? "\n" : `\n${text}` },
  ]);
  return pictures === 0 ? textTurn("user", text) : { role: "user", content: shown.flat() };
}

/** A conversation as ids, and where its pictures go in them. */
export interface WrittenTurns {
  readonly ids: Int32Array;
  readonly imageRuns: readonly ImageRun[];
}

/**
 * Writes turns whose pictures have so many `views` each; nothing is computed yet.
 * Throws `MODEL_TEXT_ONLY` and what the template throws.
 */
export function writeTurns(assistant: Assistant, turns: readonly ChatTurn[], views: readonly number[]): WrittenTurns {
  checkSight(assistant, turns);
  return expand(encodePrompt(assistant.tokenizer, assistant.template, turns), assistant, views);
}

/**
 * Writes turns and the answer to the last of them; the answer's ids are those from `from` on, without the token that
 * ends it. Throws as `writeTurns`.
 */
export function writeAnswered(
  assistant: Assistant,
  turns: readonly ChatTurn[],
  answer: string,
  views: readonly number[],
): WrittenTurns & { readonly from: number } {
  checkSight(assistant, turns);
  const { tokenizer, template } = assistant;
  const whole = encodeConversation(tokenizer, template, [...turns, textTurn("assistant", answer)]);
  const start = encodePrompt(tokenizer, template, turns).ids.length;
  // the template's last word, if it has one of its own, is no part of the answer
  const close = answerEnd(template, tokenizer).id;
  const end = close === undefined ? whole.learned.lastIndexOf(1) + 1 : whole.ids.lastIndexOf(close);
  const cut = { ...whole, ids: whole.ids.slice(0, end), learned: whole.learned.slice(0, end) };
  const written = expand(cut, assistant, views);
  return { ...written, from: written.ids.length - (end - start) };
}

function checkSight({ sight, where }: Assistant, turns: readonly ChatTurn[]): void {
  const images = imagesIn(turns);
  if (images === 0 || sight !== undefined) return;
  throw new InputError("MODEL_TEXT_ONLY", {
    expected: "words alone, as this model has no vision tower",
    got: images === 1 ? "a picture" : `${images} pictures`,
    where,
    fix: "ask without pictures, or use a model made by llava train",
  });
}

function expand(encoded: Encoded, { sight }: Assistant, views: readonly number[]): WrittenTurns {
  if (sight === undefined) return { ids: encoded.ids, imageRuns: [] };
  const counts = views.map((count) => sight.reader.tokens * count);
  return expandImages(encoded, counts, sight.imageTokenId);
}

/** The prompt of written turns, with what was read of their pictures in their places. */
export function placePictures({ ids, imageRuns }: WrittenTurns, pictures: readonly PictureTokens[]): Prompt {
  const place = ({ start, length, image }: ImageRun) => ({ start, count: length, picture: pictures[image]! });
  return imageRuns.length === 0 ? { ids } : { ids, pictures: imageRuns.map(place) };
}

function viewsIn(pixels: Pixels, { preprocessor, tiles }: Sight): number {
  return tiles === undefined ? 1 : viewCount(pixels, preprocessor, tiles);
}

function viewsOf(pixels: Pixels, { preprocessor, tiles }: Sight): Float32Array[] {
  return tiles === undefined ? [preprocess(pixels, preprocessor)] : pictureViews(pixels, preprocessor, tiles);
}

/** What ends an answer in a template: a control token, or (plain) a text. */
function answerEnd(template: Template, tokenizer: Tokenizer): { readonly id?: number; readonly text?: string } {
  const last = template
    .segments([textTurn("user", "?"), textTurn("assistant", "?")])
    .findLast((segment) => segment.kind !== "image" && segment.learned);
  if (last?.kind === "control") {
    const id = controlIdOf(last.control, tokenizer);
    return id === undefined ? {} : { id };
  }
  const text = last?.kind === "text" ? last.text.slice(last.text.indexOf("?") + 1) : "";
  return text === "" ? {} : { text };
}
