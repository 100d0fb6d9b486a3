// Pictures and texts from arguments or from a pipe.
import { InputError } from "../../errors.ts";
import type { Picture } from "../../generate/assistant.ts";
import { decodeChatPicture, readChatPicture } from "../../generate/node.ts";
import { defaultLimits } from "../../image/header.ts";
import { filePath, isPictureArgument } from "./paths.ts";

export interface Asked {
  /** as they are named; `-` stands for the one on stdin */
  readonly pictures: readonly string[];
  readonly question: string | undefined;
}

/**
 * What the command line asks: pictures of options and words, and the question, `-` for one on stdin.
 * Throws `CHAT_OPTIONS` for two questions, or two things from one pipe.
 */
export function askedOf(words: readonly string[], images: readonly string[], prompt: string | undefined): Asked {
  const pictures = [...images, ...words.filter(isPictureArgument)];
  const said = words.filter((word) => !isPictureArgument(word)).join(" ");
  const twice = (expected: string, got: string): InputError => new InputError("CHAT_OPTIONS", { expected, got });
  if (prompt !== undefined && said !== "") throw twice("one question", "--prompt and words besides");
  const piped = [...pictures, prompt].filter((each) => each === "-").length;
  if (piped > 1) throw twice("one - at most, as there is one stdin", String(piped));
  return { pictures, question: prompt ?? (said === "" ? undefined : said) };
}

/** Reads a picture by its name. Throws `PICTURE_…`. */
export async function readNamedPicture(name: string): Promise<Picture> {
  if (name !== "-") return readChatPicture(filePath(name));
  return decodeChatPicture(await readStdin(defaultLimits.bytes), "stdin");
}

/** The question itself. Throws `TEXT_INVALID`, `FILE_TOO_LARGE`. */
export async function readQuestion(question: string): Promise<string> {
  if (question !== "-") return question;
  const bytes = await readStdin(2 ** 20);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).trim();
  } catch {
    throw new InputError("TEXT_INVALID", { expected: "a question in UTF-8", got: "other bytes", where: "stdin" });
  }
}

async function readStdin(most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    if ((size += chunk.length) > most) {
      const got = `more than ${most}`;
      throw new InputError("FILE_TOO_LARGE", { expected: `at most ${most} bytes`, got, where: "stdin" });
    }
  }
  return Buffer.concat(chunks);
}
