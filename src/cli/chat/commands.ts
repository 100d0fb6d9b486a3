// What the commands of a chat do.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { count } from "../../data/untrusted.ts";
import { InputError } from "../../errors.ts";
import { table } from "../output.ts";
import { type ChatCommand, commandHelp } from "./command-names.ts";
import { filePath } from "./paths.ts";
import { chatFile, loadChat, saveChat } from "./saved.ts";
import { changeSetting, constraintsOf, showSettings } from "./settings.ts";
import { showStats } from "./stats.ts";
import type { Talk } from "./talk.ts";

/** What stands behind a command: as words, and as it was typed. */
export interface CommandLine {
  readonly words: readonly string[];
  readonly text: string;
}

/** Runs a command; false ends the conversation. Throws what is wrong with it. */
export async function runCommand(talk: Talk, command: ChatCommand, { words, text }: CommandLine): Promise<boolean> {
  switch (command) {
    case "/exit":
      return false;
    case "/help":
      talk.note(commandHelp());
      return true;
    case "/image":
      if (words.length === 0) talk.note("Name a picture: /image PATH");
      else await talk.addPictures(words.map(filePath));
      return true;
    case "/retry":
      await talk.retry();
      return true;
    case "/clear":
      talk.session.clear();
      talk.dropPictures();
      talk.file = undefined;
      talk.note("Forgotten.");
      return true;
    case "/system":
      setSystem(talk, text);
      return true;
    case "/set":
      await set(talk, words);
      return true;
    case "/stats":
      showTokens(talk);
      return true;
    case "/save":
      await save(talk, words);
      return true;
    case "/load":
      await load(talk, words);
      return true;
  }
}

function setSystem(talk: Talk, text: string): void {
  const { session } = talk;
  if (text !== "") session.system = text === "off" ? undefined : text;
  const leads = session.system === undefined ? "the template's own message, if it has one" : session.system;
  talk.note(`Leads the conversation: ${leads}`);
}

async function set(talk: Talk, [name, ...words]: readonly string[]): Promise<void> {
  if (name !== undefined && words.length > 0) {
    const changed = await changeSetting(talk.settings, name, words);
    // a schema that cannot be held to is refused here, not at every question
    constraintsOf(changed, talk.assistant.tokenizer);
    talk.settings = changed;
  }
  const shown = showSettings(talk.settings).filter(([each]) => name === undefined || each === name);
  // refuses a name that there is not
  if (shown.length === 0) await changeSetting(talk.settings, name!, []);
  talk.note(table(shown));
}

function showTokens(talk: Talk): void {
  if (talk.stats === undefined) return talk.note("Nothing was answered yet.");
  const { promptTokens, tokens } = talk.stats;
  const room = talk.assistant.generator.config.maxPositions;
  talk.note(`${showStats(talk.stats)}\nconversation: ${promptTokens + tokens} of ${room} tokens`);
}

async function save(talk: Talk, [word]: readonly string[]): Promise<void> {
  const path = word === undefined ? talk.file : resolve(chatFile(filePath(word)));
  if (path === undefined) return talk.note("Name a file: /save FILE");
  if (existsSync(path) && path !== talk.file) {
    const fix = "name another file, or remove this one";
    throw new InputError("OUTPUT_EXISTS", { expected: "a new file", got: "one that exists", where: path, fix });
  }
  const { exchanges, system } = talk.session;
  await saveChat(path, { exchanges, system }, talk.model);
  talk.file = path;
  talk.note(`Saved ${path}`);
}

async function load(talk: Talk, [word]: readonly string[]): Promise<void> {
  if (word === undefined) return talk.note("Name a file: /load FILE");
  const path = resolve(filePath(word));
  const { exchanges, system } = await loadChat(path, talk.readPicture);
  const pictures = exchanges.reduce((sum, each) => sum + each.pictures.length, 0);
  if (pictures > 0 && talk.assistant.sight === undefined) {
    const expected = "a conversation without pictures, as this model takes none";
    throw new InputError("MODEL_TEXT_ONLY", { expected, got: count(pictures, "picture"), where: path });
  }
  talk.session.restore(exchanges);
  talk.session.system = system;
  talk.dropPictures();
  talk.file = path;
  talk.note(`Loaded ${count(exchanges.length, "question")} with ${count(pictures, "picture")}; go on.`);
}
