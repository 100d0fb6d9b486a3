// A chat as a file: one sample of LLaVA's JSON, so that it can be trained on, with what it takes to go on with it.
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { z } from "zod";
import { InputError } from "../../errors.ts";
import { readJsonFile, writeFileAtomic } from "../../formats/node.ts";
import type { Picture } from "../../generate/assistant.ts";
import type { Exchange } from "../../generate/chat.ts";
import { imageMarker } from "../../text/conversation.ts";

export interface SavedChat {
  readonly exchanges: readonly Exchange[];
  readonly system: string | undefined;
}

const turn = z.object({ from: z.enum(["human", "gpt"]), value: z.string() });
const sample = z.object({
  image: z.union([z.string(), z.array(z.string())]).optional(),
  conversations: z.array(turn).max(10_000),
  system: z.string().optional(),
  /** how many pictures each question shows; without it, its markers say so */
  pictures: z.array(z.int().min(0).max(1000)).optional(),
});
const file = z.union([sample, z.tuple([sample])]);

/** Writes a chat. Throws `CHAT_SAVE` for pictures that lie in no file, and as `writeFileAtomic`. */
export async function saveChat(path: string, { exchanges, system }: SavedChat, model: string): Promise<void> {
  const folder = dirname(resolve(path));
  const shown = exchanges.flatMap(({ pictures }) => pictures);
  const image = shown.map((picture) => pathFrom(folder, picture));
  const conversations = exchanges.flatMap(({ question, pictures, answer }) => [
    { from: "human", value: imageMarker.concat("\n").repeat(pictures.length) + question },
    { from: "gpt", value: answer },
  ]);
  const saved = {
    id: new Date().toISOString(),
    ...(image.length > 0 && { image: image.length === 1 ? image[0] : image }),
    conversations,
    ...(system !== undefined && { system }),
    pictures: exchanges.map(({ pictures }) => pictures.length),
    model,
  };
  await writeFileAtomic(path, `${JSON.stringify([saved], null, 2)}\n`);
}

/** Relative to the file's folder, as samples name their pictures; from elsewhere whole. */
function pathFrom(folder: string, { path }: Picture): string {
  if (path === undefined) {
    const fix = "save the picture to a file and show that one";
    throw new InputError("CHAT_SAVE", { expected: "pictures from files", got: "one from a pipe", fix });
  }
  const inside = relative(folder, resolve(path));
  return inside.startsWith("..") || isAbsolute(inside) ? resolve(path) : inside.replaceAll("\\", "/");
}

/**
 * Reads what `saveChat` wrote, or a file of one sample. `readPicture` opens its pictures.
 * Throws `CHAT_FILE`, and as `readJsonFile` and `readPicture`.
 */
export async function loadChat(path: string, readPicture: (path: string) => Promise<Picture>): Promise<SavedChat> {
  const parsed = file.safeParse(await readJsonFile(path, { maxBytes: 2 ** 26 }));
  if (!parsed.success) {
    const { path: at, message } = parsed.error.issues[0]!;
    throw refuse(path, `one sample of LLaVA's JSON (${at.join(".") || "the file"}: ${message})`, "something else");
  }
  const {
    image = [],
    conversations,
    system,
    pictures: counts,
  } = Array.isArray(parsed.data) ? parsed.data[0] : parsed.data;
  const files = [image].flat();
  const pictures = await Promise.all(files.map((each) => readPicture(resolve(dirname(path), each))));
  let used = 0;
  const exchanges: Exchange[] = [];
  for (let i = 0; i < conversations.length; i += 2) {
    const [asked, said] = [conversations[i]!, conversations[i + 1]];
    if (asked.from !== "human" || said?.from !== "gpt")
      throw refuse(path, "question and answer in turn", `another order at turn ${i + 1}`);
    const count = counts?.[i / 2] ?? asked.value.split(imageMarker).length - 1;
    const shown = pictures.slice(used, (used += count));
    if (shown.length < count) throw refuse(path, `a picture for every ${imageMarker}`, String(files.length));
    exchanges.push({ question: withoutMarkers(asked.value, count), pictures: shown, answer: said.value });
  }
  return { exchanges, system };
}

/** A question without its first markers: pictures stand in front of the words. */
function withoutMarkers(value: string, count: number): string {
  let text = value;
  for (let i = 0; i < count; i++) text = text.replace(/\n?<image>\n?/, "");
  return text;
}

function refuse(where: string, expected: string, got: string): InputError {
  return new InputError("CHAT_FILE", { expected, got, where, fix: "name a file that /save wrote" });
}

/** Where a chat is saved when only a name is given. */
export function chatFile(word: string): string {
  return /\.jsonl?$/i.test(word) ? word : join(dirname(word), `${word.split(/[/\\]/).at(-1)}.json`);
}
