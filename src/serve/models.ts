// The models that one server answers with, by name.
import { basename, dirname } from "node:path";
import { InputError } from "../errors.ts";
import type { Assistant } from "../generate/assistant.ts";
import { RequestError } from "./errors.ts";

export interface ServedModel {
  readonly name: string;
  readonly assistant: Assistant;
  /** when it was loaded, in seconds since 1970 */
  readonly created: number;
}

/** A model to serve: `NAME=PATH`, or a path whose folder names it. */
export interface NamedPath {
  readonly name: string;
  readonly path: string;
}

/** Reads what the command line names. Throws `SERVE_NAMES` when two models would have one name. */
export function namedPaths(words: readonly string[]): NamedPath[] {
  const named = words.map((word): NamedPath => {
    const given = /^([\w.:-]+)=(.+)$/.exec(word);
    return given ? { name: given[1]!, path: given[2]! } : { name: folderName(word), path: word };
  });
  const twice = named.find(({ name }, i) => named.findIndex((other) => other.name === name) < i);
  if (twice === undefined) return named;
  throw new InputError("SERVE_NAMES", {
    expected: "models of different names",
    got: `${twice.name} twice`,
    fix: "name one otherwise: NAME=PATH",
  });
}

/** `runs/my-photos/model` is called my-photos. */
function folderName(path: string): string {
  const name = basename(path);
  return /^model(-best)?$/.test(name) ? basename(dirname(path)) || name : name;
}

/** The model that a request names, the first where it names none. Throws `MODEL_NOT_FOUND`. */
export function findModel(models: readonly ServedModel[], name: string | undefined): ServedModel {
  const found = name === undefined ? models[0] : models.find((model) => model.name === name);
  if (found !== undefined) return found;
  throw new RequestError(404, "MODEL_NOT_FOUND", {
    expected: `one of ${models.map((model) => model.name).join(", ")}`,
    got: "another name",
    where: "model",
  });
}

/** The most positions of a model's context. */
export function contextOf({ assistant }: ServedModel): number {
  return assistant.generator.config.maxPositions;
}
