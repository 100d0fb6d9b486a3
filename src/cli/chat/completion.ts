// The Tab key in a chat: names of commands and settings, and paths where a command takes one.
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { harmless } from "../harmless.ts";
import { commandNames, pathCommands } from "./command-names.ts";
import { filePath } from "./paths.ts";
import { settingNames } from "./settings.ts";

/** What may stand in place of the line's last word, as node:readline wants it: the words, and what they replace. */
export function complete(line: string): [string[], string] {
  const command = /^(\/\w+)\s/.exec(line)?.[1];
  const word = /(?:\\.|[^\s\\])*$/s.exec(line)![0];
  if (command === undefined) return line.startsWith("/") ? [startingWith(line, commandNames, " "), line] : [[], line];
  if (command === "/set" && line.trimStart().split(/\s+/).length <= 2)
    return [startingWith(word, settingNames, " "), word];
  return pathCommands.has(command) ? [paths(word), word] : [[], word];
}

function startingWith(word: string, names: readonly string[], end: string): string[] {
  return names.filter((name) => name.startsWith(word)).map((name) => name + end);
}

/** Files and folders that a path may go on with, white space escaped; a folder ends with its slash. */
function paths(word: string): string[] {
  const typed = word.replaceAll(/\\(.)/gs, "$1");
  const [folder, start] = typed.endsWith("/") ? [typed, ""] : [dirname(typed), basename(typed)];
  try {
    return (
      readdirSync(filePath(folder === "" ? "." : folder), { withFileTypes: true })
        // names that the terminal would obey have to be typed
        .filter(({ name }) => name.startsWith(start) && harmless(name) === name && !/[\n\t]/.test(name))
        .filter(({ name }) => start.startsWith(".") || !name.startsWith("."))
        .map((entry) => {
          const base = typed.includes("/") ? (typed.endsWith("/") ? folder : join(folder, "/")) : "";
          return (base + entry.name).replaceAll(/[\s"'\\()]/g, "\\$&") + (entry.isDirectory() ? "/" : "");
        })
    );
  } catch {
    return [];
  }
}
