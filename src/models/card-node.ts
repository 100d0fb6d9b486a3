// What a folder tells for a model card: its own card, and under which licence it stands.
import { join } from "node:path";
import { parse } from "yaml";
import { readTextFile } from "../formats/node.ts";
import { exists } from "./tensors-node.ts";

const MOST_BYTES = 1 << 20;

/** README.md of a folder, if there is one of at most 1 MiB. */
export async function readCard(folder: string): Promise<string | undefined> {
  const path = join(folder, "README.md");
  return (await exists(path)) ? readTextFile(path, { maxBytes: MOST_BYTES }) : undefined;
}

/** The licence that a folder states: in its card's front matter, else by the title of its LICENSE file. */
export async function readLicence(folder: string): Promise<string | undefined> {
  const card = await readCard(folder).catch(() => undefined);
  const front = card === undefined ? null : /^---\n([\s\S]*?)\n---/.exec(card);
  const stated = front === null ? undefined : licenceOf(front[1]!);
  if (stated !== undefined) return stated;
  const path = join(folder, "LICENSE");
  const text = (await exists(path)) ? await readTextFile(path, { maxBytes: MOST_BYTES }).catch(() => "") : "";
  if (/apache license\s+version 2\.0/i.test(text)) return "apache-2.0";
  return /^\s*(the )?mit license/i.test(text) ? "mit" : undefined;
}

function licenceOf(front: string): string | undefined {
  try {
    const { license } = (parse(front) ?? {}) as { license?: unknown };
    return typeof license === "string" && /^[\w.-]{1,60}$/.test(license) ? license : undefined;
  } catch {
    return undefined;
  }
}
