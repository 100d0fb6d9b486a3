// Reads the items of a JSON file one at a time, whatever its size, with the line that each begins on.
import { JsonReader, type JsonItem } from "./json-reader.ts";

export type { JsonItem } from "./json-reader.ts";

/**
 * The elements of a JSON list, or the values of a file with one after the other (JSON lines): the content tells which.
 * An empty file has none.
 *
 * @throws InputError `FILE_MISSING`, `FILE_UNREADABLE`, and with line and column `JSON_INVALID` (also when it is cut off),
 *   `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`, `JSON_TOO_LONG`, `TEXT_INVALID`
 */
export async function* jsonItems(path: string): AsyncGenerator<JsonItem> {
  const reader = await JsonReader.open(path);
  try {
    if ((await reader.peek()) === "[") yield* reader.list("");
    else while ((await reader.peek()) !== "") yield await reader.item("");
    await reader.end();
  } finally {
    await reader.close();
  }
}

/**
 * The members of a top-level JSON object; where a member is a list, its elements one by one (as COCO's `annotations`).
 *
 * @throws InputError as `jsonItems`
 */
export async function* jsonSections(path: string): AsyncGenerator<JsonItem> {
  const reader = await JsonReader.open(path);
  try {
    await reader.expect("{");
    let more = (await reader.peek()) !== "}";
    while (more) {
      const section = await reader.key();
      await reader.expect(":");
      if ((await reader.peek()) === "[") yield* reader.list(section);
      else yield await reader.item(section);
      more = await reader.comma("}");
    }
    await reader.expect("}");
    await reader.end();
  } finally {
    await reader.close();
  }
}
