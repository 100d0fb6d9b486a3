// What an endpoint is sent for one picture: LLaVA's layout of system prompt, examples and context.
import { hash } from "node:crypto";
import { random } from "../data/random.ts";
import type { CaptionedPicture } from "../data/sample.ts";
import { encodeRequest, type ChatMessage, type ChatReply, type ChatRequest } from "../endpoint/wire.ts";
import { contextOf, type SkipReason } from "./context.ts";
import type { TeacherKind } from "./kind.ts";
import { sightedForm, type Sight } from "./pictures.ts";
import type { FactSheet } from "./sheet.ts";
import { replyAsJson, schemaOf, structuredForm } from "./structured.ts";
import { judge } from "./verdict.ts";

/** A request whose answer is kept under a key. */
export interface Askable {
  readonly id: string;
  /** a hash of everything that the answer depends on: equal requests are bought once */
  readonly key: string;
  /** what is sent; made only when it is needed */
  chat(): ChatRequest;
  /** why the answer is of no use, if it is not */
  verdict(reply: ChatReply): { readonly reason: string } | object;
}

/** A request for a conversation. */
export interface TeacherRequest extends Askable {
  readonly kind: TeacherKind;
  readonly picture: CaptionedPicture;
  /** what was told of the picture */
  readonly context: string;
  /** what was shown with it, by name */
  readonly pictures?: readonly string[];
  verdict(reply: ChatReply): ReturnType<typeof judge>;
}

/** A picture of which too little is known to ask. */
export interface Skipped {
  readonly id: string;
  readonly kind: TeacherKind;
  readonly picture: CaptionedPicture;
  readonly skipped: SkipReason;
}

/** What all requests of a kind have in common. */
export interface RequestOptions {
  readonly model: string;
  readonly seed?: number | undefined;
  /** ask for JSON of the kind's shape; see structured.ts */
  readonly structured?: boolean | undefined;
  /** pictures go along; see pictures.ts */
  readonly sight?: Sight | undefined;
}

/** A function that makes the request for a picture, or says why there is none. What is the same for all is hashed once. */
export function requestsFor(
  kind: TeacherKind,
  { model, seed, structured = false, sight }: RequestOptions,
): (picture: CaptionedPicture, sheet?: () => FactSheet | undefined, shown?: string) => TeacherRequest | Skipped {
  const common = {
    model,
    maxTokens: kind.maxTokens,
    temperature: kind.temperature,
    ...(seed === undefined ? {} : { seed }),
    ...(structured ? { schema: schemaOf(kind) } : {}),
  };
  const sees = sight !== undefined;
  const chat = (context: string, pictures?: readonly string[]): ChatRequest => ({
    ...common,
    messages: layout(kind, context, { structured, sees, pictures }),
  });
  const prefix = hash("sha256", `${kind.name} ${kind.version}\n${encodeRequest(chat(""), "max_tokens")}`);
  return (picture, sheet = () => undefined, shown) => {
    const told = contextOf(picture, kind.context, sheet);
    const id = `${picture.id}-${kind.name}`;
    if ("skipped" in told) return { id, kind, picture, ...told };
    if (sees && shown === undefined) return { id, kind, picture, skipped: "no picture" };
    const { context } = told;
    const key = hash("sha256", `${prefix}\n${shown === undefined ? "" : `${shown}\n`}${context}`).slice(0, 32);
    const pictures = shown === undefined ? {} : { pictures: [shown] };
    const verdict = (reply: ChatReply): ReturnType<typeof judge> => {
      const facts = sheet();
      const given = facts === undefined ? undefined : { picture, sheet: facts };
      return judge(reply, kind, questionFor(id, kind, seed ?? 0), { structured, given, sees });
    };
    return { id, kind, picture, context, key, ...pictures, chat: () => chat(context, pictures.pictures), verdict };
  };
}

/** For kinds whose reply is the answer alone: what the person is taken to have asked. */
function questionFor(id: string, kind: TeacherKind, seed: number): string {
  return kind.questions.length === 0 ? "" : random(seed, "question", id).pick(kind.questions);
}

/** System, then each example as a question and its reply, then the picture (LLaVA, arXiv 2304.08485, Table 13). */
function layout(
  kind: TeacherKind,
  context: string,
  { structured, sees, pictures }: { structured: boolean; sees: boolean; pictures: readonly string[] | undefined },
): ChatMessage[] {
  const shots = kind.examples.flatMap(({ context, reply }): ChatMessage[] => [
    { role: "user", content: context },
    { role: "assistant", content: structured ? replyAsJson(reply, kind) : reply },
  ]);
  const system = [kind.system, ...(sees ? [sightedForm] : []), ...(structured ? [structuredForm] : [])].join("\n\n");
  const asked = { role: "user" as const, content: context, ...(pictures === undefined ? {} : { pictures }) };
  return [{ role: "system", content: system }, ...shots, asked];
}
