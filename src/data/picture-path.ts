// Where pictures may lie: below the images folder, whatever a data file says.
import { join } from "node:path";
import { InputError } from "../errors.ts";

/**
 * A picture's path as data files give it, made plain: relative to the images folder, "/"-separated, without "." parts.
 *
 * @param where the file and line that names it
 * @throws InputError `PICTURE_PATH` for what is no relative path, or leads out of the images folder
 */
export function picturePath(text: unknown, where: string): string {
  if (typeof text !== "string" || text === "" || text.includes("\0"))
    throw refused(text, where, "a picture's file name");
  const parts = text.replaceAll("\\", "/").split("/");
  const absolute = parts[0] === "" || /^[a-z][a-z0-9+.-]*:/i.test(text);
  if (absolute) throw refused(text, where, "a path relative to the images folder");
  if (parts.includes("..")) throw refused(text, where, "a path that stays inside the images folder");
  const plain = parts.filter((part) => part !== "" && part !== ".").join("/");
  if (plain === "") throw refused(text, where, "a picture's file name");
  return plain;
}

function refused(text: unknown, where: string, expected: string): InputError {
  const got = (JSON.stringify(text) ?? "nothing").slice(0, 200);
  const fix = "write it relative to the images folder and name that folder with --images";
  return new InputError("PICTURE_PATH", { expected, got, where, fix });
}

/** The file of a picture that `picturePath` has accepted. */
export function pictureFile(imagesRoot: string, image: string): string {
  return join(imagesRoot, ...image.split("/"));
}
