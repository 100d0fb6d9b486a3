// Which teachers read which options of `llava teach`: what the chosen one would not read is refused, not ignored.
import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { defaultMixture } from "../teacher/facts/kinds.ts";
import { builtInKinds } from "../teacher/kind.ts";

/** A teacher as `--teacher` names it: facts, an address, a .yaml file with several endpoints, or local:MODEL. */
type TeacherForm = "facts" | "address" | "file" | "local";

const factsAlone = ["facts"] as const;
const models = ["address", "file", "local"] as const;

/** Options, by commander's names, that not every teacher reads. */
const readers: Readonly<Record<string, readonly TeacherForm[]>> = {
  turns: factsAlone,
  balance: factsAlone,
  smallest: factsAlone,
  answers: factsAlone,
  // each endpoint of a file has its own
  keyEnv: ["address"],
  concurrency: ["address"],
  rpm: ["address"],
  tpm: ["address"],
  price: ["address"],
  model: ["address", "file"],
  batch: ["address", "file"],
  budget: models,
  inDoubt: models,
  rows: models,
  candidates: models,
  judge: models,
  judgeAt: models,
  judgePrice: models,
  blindTest: models,
  structured: models,
  withPictures: models,
  queue: models,
  queueName: models,
};

const names: Readonly<Record<TeacherForm, string>> = {
  facts: "facts",
  address: "an endpoint",
  file: "a .yaml file of endpoints",
  local: "local:MODEL",
};

/** The folder in "local:FOLDER". */
export function localPath(teacher: string): string | undefined {
  return teacher.startsWith("local:") ? teacher.slice("local:".length) : undefined;
}

/** Whether a teacher is a file that tells of several endpoints. */
export function isPoolFile(teacher: string): boolean {
  return /\.ya?ml$/.test(teacher);
}

function formOf(teacher: string): TeacherForm {
  if (teacher === "facts") return "facts";
  if (localPath(teacher) !== undefined) return "local";
  return isPoolFile(teacher) ? "file" : "address";
}

interface Chosen {
  readonly teacher: string;
  readonly kinds?: string | undefined;
  readonly questions?: string | undefined;
  readonly judge?: string | undefined;
}

/**
 * Holds the options that were typed against what the teacher reads; defaults are never refused.
 *
 * @throws InputError `TEACHER_OPTION` naming the option, who reads it, and what to do
 */
export async function refuseUnread(command: Command, chosen: Chosen): Promise<void> {
  const form = formOf(chosen.teacher);
  for (const option of command.options) {
    const name = option.attributeName();
    const who = readers[name];
    if (who === undefined || who.includes(form) || command.getOptionValueSource(name) !== "cli") continue;
    if (isReadBeside(name, chosen)) continue;
    const inFile = form === "file" && who.includes("address");
    throw unread(
      option.long ?? name,
      form,
      who,
      inFile ? `write it for each endpoint in ${chosen.teacher}` : undefined,
    );
  }
  for (const part of chosen.kinds?.split(",") ?? []) await refuseKind(part.split("=")[0]?.trim() ?? "", form);
}

/** Test questions leave out small objects, and a judge is an endpoint, whoever teaches. */
function isReadBeside(option: string, { questions, judge }: Chosen): boolean {
  return (option === "smallest" && questions !== undefined) || (option === "concurrency" && judge !== undefined);
}

/** Both kinds of teachers have kinds of their own: one that the other has is more than an unknown name. */
async function refuseKind(name: string, form: TeacherForm): Promise<void> {
  const isFact = Object.hasOwn(defaultMixture, name);
  const isModel = (builtInKinds as readonly string[]).includes(name);
  if (form === "facts" ? !isModel : !isFact) return;
  // a folder of the user's own may be called as a kind of facts
  if (form !== "facts" && (await stat(name).catch(() => undefined))?.isDirectory() === true) return;
  throw unread(`--kinds ${name}`, form, form === "facts" ? models : factsAlone);
}

function unread(option: string, form: TeacherForm, who: readonly TeacherForm[], how?: string): InputError {
  const instead = who.includes("facts") ? "leave --teacher out" : "name such a teacher with --teacher";
  return new InputError("TEACHER_OPTION", {
    expected: `options that the teacher reads (${names[form]})`,
    got: `${option}, which is read by ${who.map((each) => names[each]).join(" or ")}`,
    where: "llava teach",
    fix: `leave ${option} out, or ${how ?? instead}`,
  });
}
