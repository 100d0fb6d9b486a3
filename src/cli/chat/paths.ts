// Pictures named in a line: paths that were typed, pasted, or dragged into the terminal, however it wrote them.
import { statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { splitWords } from "../words.ts";

const pictureEnding = /\.(?:jpe?g|png|webp|gif)$/i;

/** The file that a word names: `file://` URLs and `~/` are resolved. */
export function filePath(word: string): string {
  if (/^file:\/\//i.test(word)) {
    try {
      return fileURLToPath(word);
    } catch {
      // another machine's, or no URL at all: the error will name it as it was written
      return word;
    }
  }
  return word.startsWith("~/") ? join(homedir(), word.slice(2)) : word;
}

/** Whether an argument is meant as a picture: `-`, a URL of a file, or a name that ends like a picture's. */
export function isPictureArgument(word: string): boolean {
  if (word === "-" || /^file:\/\//i.test(word)) return true;
  return pictureEnding.test(word) && (isFile(filePath(word)) || !/\s/.test(word));
}

export interface Mentioned {
  /** files, in the order of the line */
  readonly pictures: readonly string[];
  /** what is left of the line */
  readonly text: string;
}

/**
 * Takes the pictures out of a line. Terminals drop a file as a path with backslashes, in quotes, or as a `file://` URL;
 * what names no file that is there stays in the text.
 */
export function takePictures(line: string): Mentioned {
  const [only = "", ...more] = isUrl(line) ? [line.trim()] : splitWords(line);
  const whole = filePath(only);
  // a file alone was surely dropped, whatever its name
  if (more.length === 0 && whole.includes("/") && isFile(whole)) return { pictures: [whole], text: "" };
  const pictures: string[] = [];
  let text = "";
  for (let at = 0; at < line.length;) {
    const rest = line.slice(at);
    const word = /^(?:file:\/\/\S+|"(?:\\.|[^"\\])*"|'[^']*'|(?:\\.|[^\s"'\\])+)(?=\s|$)/isu.exec(rest)?.[0];
    const path = word === undefined ? undefined : filePath(isUrl(word) ? word : (splitWords(word)[0] ?? ""));
    const found = path !== undefined && pictureEnding.test(path) && isFile(path);
    if (found) pictures.push(path);
    const taken = found ? word! : /^\S*/.exec(rest)![0];
    const space = /^\s*/.exec(rest.slice(taken.length))![0];
    if (!found) text += taken + space;
    at += taken.length + space.length;
  }
  return { pictures, text: pictures.length === 0 ? line : text.trim() };
}

/** A quote in a URL is part of it. */
function isUrl(text: string): boolean {
  return /^\s*file:\/\/\S+\s*$/i.test(text);
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    // names that are too long or hold a NUL are names of no file, too
    return false;
  }
}
