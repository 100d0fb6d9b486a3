// What an endpoint is sent for one picture: LLaVA's layout of system prompt, examples and context.
import { hash } from "node:crypto";
import { random } from "../data/random.ts";
import type { CaptionedPicture } from "../data/sample.ts";
import { encodeRequest, type ChatMessage, type ChatRequest } from "../endpoint/wire.ts";
import { cleanText } from "./facts/caption.ts";
import { cleanName } from "./facts/names.ts";
import type { TeacherKind } from "./kind.ts";
import { replyAsJson, schemaOf, structuredForm } from "./structured.ts";

/** One request with the key under which its answer is kept. */
export interface TeacherRequest {
  readonly id: string;
  readonly kind: TeacherKind;
  readonly picture: CaptionedPicture;
  /** a hash of everything that the answer depends on: equal requests are bought once */
  readonly key: string;
  /** what is sent; made only when it is needed */
  chat(): ChatRequest;
}

/** A picture of which too little is known to ask. */
export interface Skipped {
  readonly skipped: "no usable caption";
}

/** Beyond these a prompt would grow without telling more. */
const mostCaptions = 20;
const mostBoxes = 100;

/** What all requests of a kind have in common. */
export interface RequestOptions {
  readonly model: string;
  readonly seed?: number | undefined;
  /** ask for JSON of the kind's shape; see structured.ts */
  readonly structured?: boolean | undefined;
}

/** A function that makes the request for a picture, or says why there is none. What is the same for all is hashed once. */
export function requestsFor(
  kind: TeacherKind,
  { model, seed, structured = false }: RequestOptions,
): (picture: CaptionedPicture) => TeacherRequest | Skipped {
  const common = {
    model,
    maxTokens: kind.maxTokens,
    temperature: kind.temperature,
    ...(seed === undefined ? {} : { seed }),
    ...(structured ? { schema: schemaOf(kind) } : {}),
  };
  const chat = (context: string): ChatRequest => ({ ...common, messages: layout(kind, context, structured) });
  const prefix = hash("sha256", `${kind.name} ${kind.version}\n${encodeRequest(chat(""), "max_tokens")}`);
  return (picture) => {
    const context = contextOf(picture, kind);
    if (context === undefined) return { skipped: "no usable caption" };
    const key = hash("sha256", `${prefix}\n${context}`).slice(0, 32);
    return { id: `${picture.id}-${kind.name}`, kind, picture, key, chat: () => chat(context) };
  };
}

/** For kinds whose reply is the answer alone: what the person is taken to have asked. */
export function questionFor({ id, kind }: TeacherRequest, seed: number): string {
  return kind.questions.length === 0 ? "" : random(seed, "question", id).pick(kind.questions);
}

/** System, then each example as a question and its reply, then the picture (LLaVA, arXiv 2304.08485, Table 13). */
function layout(kind: TeacherKind, context: string, structured: boolean): ChatMessage[] {
  const shots = kind.examples.flatMap(({ context, reply }): ChatMessage[] => [
    { role: "user", content: context },
    { role: "assistant", content: structured ? replyAsJson(reply, kind) : reply },
  ]);
  const system = structured ? `${kind.system}\n\n${structuredForm}` : kind.system;
  return [{ role: "system", content: system }, ...shots, { role: "user", content: context }];
}

/** Captions line by line; then, after an empty line, boxes as `name: [left, top, right, bottom]` with three decimals. */
function contextOf(picture: CaptionedPicture, kind: TeacherKind): string | undefined {
  const captions = picture.captions.map(cleanText).filter((caption) => caption !== undefined);
  const objects = kind.context === "captions" ? [] : (picture.objects ?? []);
  const lines = objects.map(
    ({ name, box }) => `${cleanName(name)}: [${box.map((edge) => edge.toFixed(3)).join(", ")}]`,
  );
  // boxes alone tell too little for a talk
  if (captions.length === 0) return undefined;
  return [captions.slice(0, mostCaptions).join("\n"), lines.slice(0, mostBoxes).join("\n")]
    .filter((part) => part !== "")
    .join("\n\n");
}
