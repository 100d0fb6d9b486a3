// Paths as terminals drop them, beside real files.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { filePath, isPictureArgument, takePictures } from "./paths.ts";

const folder = mkdtempSync(join(tmpdir(), "paths-"));
afterAll(() => rmSync(folder, { recursive: true }));
const make = (name: string): string => {
  writeFileSync(join(folder, name), "");
  return join(folder, name);
};
const plain = make("a.jpg");
const odd = make("it's (1) my “photo”.PNG");
const other = make("notes.txt");
mkdirSync(join(folder, "folder.png"));

const escaped = (path: string): string => path.replaceAll(/[^\w/.]/gu, "\\$&");
const doubled = (path: string): string => `"${path.replaceAll(/["\\]/g, "\\$&")}"`;

it.each([
  ["bare", plain, plain],
  ["with backslashes", escaped(odd), odd],
  ["in double quotes", doubled(odd), odd],
  ["in single quotes", `'${plain}' `, plain],
  ["as a URL", pathToFileURL(odd).href, odd],
  ["as a URL of this host", pathToFileURL(plain).href.replace("file:///", "file://localhost/"), plain],
  ["of another kind, alone", other, other],
])("knows a dropped file %s", (_, line, path) => {
  expect(takePictures(line)).toEqual({ pictures: [path], text: "" });
});

it("takes pictures out of a question, and leaves the rest as it was", () => {
  expect(takePictures(`${escaped(odd)} What's "this"?  And ${plain} ?`)).toEqual({
    pictures: [odd, plain],
    text: `What's "this"?  And ?`,
  });
  expect(takePictures(`What's in ${plain}`)).toEqual({ pictures: [plain], text: "What's in" });
});

it.each([
  "What is a.jpg?",
  "/none/a.jpg and ./b.png",
  "It's a dog's life, isn't it?",
  `"open ${folder}`,
  join(folder, "folder.png"),
  `Summarise ${other} please`,
  "file://elsewhere/a.jpg",
  "file:///%00.jpg",
  `${"x".repeat(5000)}.jpg`,
  "",
])("leaves %j alone", (line) => expect(takePictures(line)).toEqual({ pictures: [], text: line }));

it("takes nothing from lines that name no file, whatever they hold", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (line) => {
      expect(takePictures(line).pictures).toEqual([]);
    }),
  );
});

it("tells arguments that are pictures from words", () => {
  const given = [plain, "-", "missing.jpg", "What is in a.jpg", "What?", pathToFileURL(plain).href, odd, other];
  expect(given.filter(isPictureArgument)).toEqual([plain, "-", "missing.jpg", pathToFileURL(plain).href, odd]);
  expect(filePath("~/a.jpg")).not.toContain("~");
});
