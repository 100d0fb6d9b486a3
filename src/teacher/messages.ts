// What an endpoint is sent for one picture: LLaVA's layout of system prompt, examples and context.
import { createHash } from "node:crypto";
import { random } from "../data/random.ts";
import type { CaptionedPicture } from "../data/sample.ts";
import { encodeRequest, type ChatMessage, type ChatRequest } from "../endpoint/wire.ts";
import { cleanCaption } from "./facts/caption.ts";
import { cleanName } from "./facts/names.ts";
import type { TeacherKind } from "./kind.ts";

/** One request with the key under which its answer is kept. */
export interface TeacherRequest {
  readonly id: string;
  readonly kind: TeacherKind;
  readonly picture: CaptionedPicture;
  readonly chat: ChatRequest;
  /** a hash of everything that the answer depends on: equal requests are bought once */
  readonly key: string;
}

/** A picture of which too little is known to ask. */
export interface Skipped {
  readonly skipped: "no usable caption";
}

/** Beyond these a prompt would grow without telling more. */
const mostCaptions = 20;
const mostBoxes = 100;

/** The request for a picture, or why there is none. */
export function requestFor(
  picture: CaptionedPicture,
  kind: TeacherKind,
  model: string,
  seed: number | undefined,
): TeacherRequest | Skipped {
  const context = contextOf(picture, kind);
  if (context === undefined) return { skipped: "no usable caption" };
  const chat: ChatRequest = {
    model,
    messages: layout(kind, context),
    maxTokens: kind.maxTokens,
    temperature: kind.temperature,
    ...(seed === undefined ? {} : { seed }),
  };
  const hashed = `${kind.name} ${kind.version}\n${encodeRequest(chat, "max_tokens")}`;
  const key = createHash("sha256").update(hashed).digest("hex").slice(0, 32);
  return { id: `${picture.id}-${kind.name}`, kind, picture, chat, key };
}

/** For kinds whose reply is the answer alone: what the person is taken to have asked. */
export function questionFor({ id, kind }: TeacherRequest, seed: number): string {
  return kind.questions.length === 0 ? "" : random(seed, "question", id).pick(kind.questions);
}

/** System, then each example as a question and its reply, then the picture (LLaVA, arXiv 2304.08485, Table 13). */
function layout(kind: TeacherKind, context: string): ChatMessage[] {
  const shots = kind.examples.flatMap(({ context, reply }): ChatMessage[] => [
    { role: "user", content: context },
    { role: "assistant", content: reply },
  ]);
  return [{ role: "system", content: kind.system }, ...shots, { role: "user", content: context }];
}

/** Captions line by line; then, after an empty line, boxes as `name: [left, top, right, bottom]` with three decimals. */
function contextOf(picture: CaptionedPicture, kind: TeacherKind): string | undefined {
  const captions = picture.captions.map(cleanCaption).filter((caption) => caption !== undefined);
  const objects = kind.context === "captions" ? [] : (picture.objects ?? []);
  const lines = objects.map(
    ({ name, box }) => `${cleanName(name)}: [${box.map((edge) => edge.toFixed(3)).join(", ")}]`,
  );
  // boxes alone tell too little for a talk
  if (captions.length === 0) return undefined;
  const texts = captions.slice(0, mostCaptions).map(({ text }) => text);
  return [texts.join("\n"), lines.slice(0, mostBoxes).join("\n")].filter((part) => part !== "").join("\n\n");
}
