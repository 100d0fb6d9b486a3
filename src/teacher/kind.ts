// A kind of conversation that an endpoint writes: its folder of prompt and examples, read and checked.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { InputError } from "../errors.ts";
import { readTextFile } from "../formats/node.ts";
import { answerForms, type AnswerForm } from "./checks/form.ts";
import { contextParts, type ContextPart } from "./context.ts";

/** How a reply is read: blocks of question and answer, one such block, or the answer alone. */
export type ReplyForm = "turns" | "pair" | "answer";

export interface TeacherKind {
  readonly name: string;
  /** raised with every change of meaning; part of the request's key */
  readonly version: number;
  readonly temperature: number;
  readonly maxTokens: number;
  /** what the teacher is told of a picture */
  readonly context: readonly ContextPart[];
  readonly reply: ReplyForm;
  /** what every answer has to be; others drop the reply */
  readonly answer: AnswerForm;
  /** added to every question on a line of its own, e.g. how to answer it */
  readonly hint?: string | undefined;
  /** every question names one of the context's boxes */
  readonly boxesInQuestions: boolean;
  /** "en": replies in another language are dropped */
  readonly language: "en" | "any";
  /** for the form "answer": what the person is taken to have asked */
  readonly questions: readonly string[];
  readonly system: string;
  readonly examples: readonly { readonly context: string; readonly reply: string }[];
}

/** LLaVA's three (Liu et al. 2023, arXiv 2304.08485, §3), which are asked unless told. */
export const usualKinds = ["conversation", "detail", "reasoning"] as const;
/** All that come with the project. */
export const builtInKinds = [...usualKinds, "vqa", "yes-no", "counting", "region", "refusal", "rephrase"] as const;

const frontMatter = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,40}$/),
  version: z.number().int().positive(),
  temperature: z.number().min(0).max(2),
  max_tokens: z.number().int().positive(),
  context: z
    .string()
    .transform((text) => text.split("+").map((part) => part.trim()))
    .pipe(z.array(z.enum(contextParts)).min(1)),
  reply: z.enum(["turns", "pair", "answer"]),
  answer: z.enum(answerForms).default("text"),
  hint: z.string().trim().min(1).optional(),
  boxes_in_questions: z.boolean().default(false),
  language: z.enum(["en", "any"]).default("en"),
  questions: z.array(z.string().min(1)).min(1).optional(),
});

const largestPrompt = 200_000;

/** Reads kinds by their built-in name. */
export function readBuiltInKinds(names: readonly string[] = usualKinds): Promise<TeacherKind[]> {
  for (const name of names) {
    if ((builtInKinds as readonly string[]).includes(name)) continue;
    const fix = `choose among ${builtInKinds.join(", ")}`;
    throw new InputError("TEACHER_KIND", { expected: "a kind of conversation", got: `"${name}"`, fix });
  }
  return Promise.all(names.map((name) => readKind(fileURLToPath(new URL(`./kinds/${name}`, import.meta.url)))));
}

/**
 * Reads a folder with `prompt.md` (front matter and system prompt) and `examples/*.md`, each `## Context` and `## Reply`.
 *
 * @throws InputError `FILE_MISSING`, `FILE_TOO_LARGE`, `PROMPT_INVALID` with file, line or field
 */
export async function readKind(folder: string): Promise<TeacherKind> {
  const path = join(folder, "prompt.md");
  const { head, body } = splitFrontMatter(await readPrompt(path), path);
  const parsed = frontMatter.safeParse(head);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(issue?.path.join(".") || "front matter", issue?.message ?? "wrong", path);
  }
  const { max_tokens: maxTokens, boxes_in_questions: boxesInQuestions, questions = [], ...rest } = parsed.data;
  if ((rest.reply === "answer") !== questions.length > 0) {
    throw invalid("questions exactly where reply is answer", `${questions.length} questions`, path);
  }
  const files = await readdir(join(folder, "examples")).catch(() => []);
  const examples = files.filter((file) => file.endsWith(".md")).sort();
  return {
    ...rest,
    maxTokens,
    boxesInQuestions,
    questions,
    system: body,
    examples: await Promise.all(examples.map((file) => readExample(join(folder, "examples", file)))),
  };
}

async function readPrompt(path: string): Promise<string> {
  const text = (await readTextFile(path, { maxBytes: largestPrompt })).replaceAll("\r\n", "\n");
  for (const [i, line] of text.split("\n").entries()) {
    const placeholder = /\{\{.*?\}\}|\{\w+\}/.exec(line)?.[0];
    if (placeholder !== undefined) throw invalid("a prompt without placeholders", placeholder, `${path}:${i + 1}`);
  }
  return text;
}

function splitFrontMatter(text: string, path: string): { head: unknown; body: string } {
  const found = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(text);
  const body = found?.[2]?.trim() ?? "";
  if (found === null || body === "")
    throw invalid("front matter between two lines of ---, then the prompt", "neither", path);
  try {
    return { head: parseYaml(found[1] as string) as unknown, body };
  } catch (cause) {
    throw invalid("YAML", cause instanceof Error ? (cause.message.split("\n")[0] as string) : "something else", path);
  }
}

async function readExample(path: string): Promise<{ context: string; reply: string }> {
  const found = /^## Context\n([\s\S]+?)\n## Reply\n([\s\S]+)$/.exec(await readPrompt(path));
  if (found === null) throw invalid('"## Context" and "## Reply", each followed by text', "another layout", path);
  return { context: (found[1] as string).trim(), reply: (found[2] as string).trim() };
}

function invalid(expected: string, got: string, where: string): InputError {
  return new InputError("PROMPT_INVALID", { expected, got, where });
}
