// POST /v1/attention: what each token of an answer looked at, over the pictures as the model saw them.
import { z } from "zod";
import { placePictures, type Sight, writeAnswered } from "../generate/assistant.ts";
import type { PictureTokens } from "../generate/generation.ts";
import { encodePng } from "../image/node.ts";
import { denormalised } from "../image/preprocess.ts";
import { inputSize } from "../image/preprocessor.ts";
import type { ImageRun } from "../text/expand.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { chatSchema } from "./chat-schema.ts";
import { RequestError } from "./errors.ts";
import type { Ticket } from "./gate.ts";
import { turnsOfMessages } from "./messages.ts";
import { findModel, type ServedModel } from "./models.ts";
import { type Kitchen, readPicture, type ReadyPicture, readyPictures } from "./pictures.ts";

export const attentionSchema = z.object({
  model: chatSchema.shape.model,
  messages: chatSchema.shape.messages.describe("a conversation that ends with the assistant's answer"),
  layers: z
    .array(z.int().min(0))
    .min(1)
    .max(1000)
    .optional()
    .describe("layers of the language model whose attention is averaged; all of them where absent"),
  heads: z
    .array(z.int().min(0))
    .min(1)
    .max(1000)
    .optional()
    .describe("query heads of those layers whose attention is averaged; all of them where absent"),
});

type AttentionRequest = z.infer<typeof attentionSchema>;

/** A picture's view as the tower got it, and the grid of patches that the language model sees of it. */
interface ShownView {
  /** a PNG as data: URL */
  readonly image: string;
  readonly width: number;
  readonly height: number;
  readonly rows: number;
  readonly columns: number;
}

export interface TokenAttention {
  readonly object: "attention";
  readonly model: string;
  /** those whose attention was averaged */
  readonly layers: readonly number[];
  readonly model_layers: number;
  readonly heads: readonly number[];
  readonly model_heads: number;
  readonly pictures: readonly { readonly views: readonly ShownView[] }[];
  /** the answer's tokens, each with its weights by picture, view and patch */
  readonly tokens: readonly { readonly text: string; readonly weights: readonly (readonly number[][])[] }[];
}

/**
 * Reads a conversation again, with its answer, and tells for each of the answer's tokens how much of the attention that
 * chose it lay on each patch of each view of each picture. Throws `INVALID_VALUE`, `MODEL_TEXT_ONLY`,
 * `CONTEXT_LENGTH_EXCEEDED`, and as `readyPictures`.
 */
export async function tellAttention(
  request: AttentionRequest,
  models: readonly ServedModel[],
  salt: string | undefined,
  kitchen: Kitchen,
  ticket: Ticket,
): Promise<TokenAttention> {
  const model = findModel(models, request.model);
  const { assistant } = model;
  const { sight, attention } = assistant;
  const { turns, pictures, answer } = readMessages(request);
  const ready = await readyPictures(pictures, { model, salt }, kitchen, ticket.signal);
  if (sight === undefined || attention === undefined) throw blind();
  const layers = checked(request, "layers", attention.layers);
  const heads = checked(request, "heads", attention.heads);
  const counts = ready.map(({ count }) => count);
  const written = writeAnswered(assistant, turns, answer, counts);
  checkLength(written, kitchen.limits.attentionTokens);
  await ticket.turn(1);
  const read: PictureTokens[] = [];
  for (const picture of ready) read.push(await readPicture(model, picture, ticket.signal));
  const rows = await attention.read(placePictures(written, read), written.from, { layers, heads }, ticket.signal);
  ticket.signal.throwIfAborted();
  const texts = textsOf(written.ids.subarray(written.from), assistant.tokenizer);
  return {
    object: "attention",
    model: model.name,
    layers,
    model_layers: attention.layers,
    heads,
    model_heads: attention.heads,
    pictures: await Promise.all(ready.map(async (picture) => ({ views: await showViews(picture, sight) }))),
    tokens: rows.map((row, i) => ({
      text: texts[i]!,
      weights: written.imageRuns.map((run) => onPatches(row, run, sight.reader.tokens)),
    })),
  };
}

function readMessages({ messages }: AttentionRequest) {
  const last = messages.at(-1)!;
  const parts = last.role === "assistant" ? (last.content ?? "") : "";
  const answer = typeof parts === "string" ? parts : parts.map(({ text }) => text).join("\n");
  const said = turnsOfMessages(messages.slice(0, -1));
  const refuse = (expected: string, got: string): never => {
    throw new RequestError(400, "INVALID_VALUE", { expected, got, where: "messages" });
  };
  if (answer === "") refuse("an answer of the assistant as the last message", "none");
  if (said.pictures.length === 0) refuse("at least one picture", "none");
  return { ...said, answer };
}

function blind(): RequestError {
  return new RequestError(400, "MODEL_TEXT_ONLY", {
    expected: "a model that sees",
    got: "one without a vision tower",
    where: "model",
  });
}

/** Those of `count` layers or heads that were asked for, each once. */
function checked(request: AttentionRequest, what: "layers" | "heads", count: number): readonly number[] {
  const asked = request[what] ?? Array.from({ length: count }, (_, each) => each);
  const strange = asked.find((each) => each >= count);
  if (strange === undefined) return [...new Set(asked)];
  const expected = `${what} below ${count}`;
  throw new RequestError(400, "INVALID_VALUE", { expected, got: String(strange), where: what });
}

/** The weights of a whole sequence over itself are held at once: that grows with its length squared. */
function checkLength({ ids, from }: { readonly ids: Int32Array; readonly from: number }, most: number): void {
  if (ids.length <= most && ids.length > from) return;
  throw new RequestError(400, "CONTEXT_LENGTH_EXCEEDED", {
    expected: `a conversation of at most ${most} tokens that ends with an answer, pictures included`,
    got: `${ids.length} tokens, ${ids.length - from} of them the answer's`,
    where: "messages",
    fix: "ask about a shorter conversation",
  });
}

/** Each token's text; that of a character in several tokens belongs to the last of them. */
function textsOf(ids: Int32Array, tokenizer: Tokenizer): string[] {
  const stream = tokenizer.stream({ skipControl: true });
  const texts = Array.from(ids, (id) => stream.push(id));
  texts[texts.length - 1] += stream.end();
  return texts;
}

async function showViews(picture: ReadyPicture, { preprocessor, reader }: Sight): Promise<ShownView[]> {
  const size = inputSize(preprocessor);
  const side = gridSide(reader.tokens);
  return Promise.all(
    (await picture.views()).map(async (view) => {
      const png = await encodePng(denormalised(view, size, preprocessor));
      const image = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
      return { image, ...size, rows: side, columns: side };
    }),
  );
}

/** Patches a side; a view may have one token more (its class token) or one less (a patch that is dropped). */
function gridSide(tokens: number): number {
  return Math.round(Math.sqrt(tokens));
}

/** A picture's weights, [patches] of each view in reading order. */
function onPatches(row: Float32Array, { start, length }: ImageRun, tokens: number): number[][] {
  const patches = gridSide(tokens) ** 2;
  return Array.from({ length: length / tokens }, (_, view) => {
    const first = start + view * tokens + (tokens - patches);
    return Array.from({ length: patches }, (_, i) => {
      const at = first + i;
      // four digits: no eye sees more, and answers stay small
      return at < start + view * tokens ? 0 : Number(row[at]!.toPrecision(4));
    });
  });
}
