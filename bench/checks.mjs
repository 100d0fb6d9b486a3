// How often the teacher's checks are wrong: true captions that they drop, and captions of other pictures that they let pass.
//   node bench/checks.mjs ../shared/data/coco
import { build, isStale } from "../scripts/build.mjs";

if (isStale()) build();
const { openSource } = await import("../dist/data/sources/open.js");
const { checkGrounding } = await import("../dist/teacher/checks/grounding.js");
const { checkText } = await import("../dist/teacher/checks/text.js");
const { isForeign } = await import("../dist/teacher/checks/language.js");
const { openSheets } = await import("../dist/teacher/sheet.js");

const source = await openSource(process.argv[2] ?? "../shared/data/coco");
const pictures = [];
for await (const picture of source.pictures()) pictures.push(picture);
const sheets = await openSheets(pictures, 0);
const end = (text) => (/[.!?]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`);
const count = (counts, reason) => (counts[reason ?? "passed"] = (counts[reason ?? "passed"] ?? 0) + 1);
const reasonOf = (caption, sheet) => {
  const pairs = [{ question: "What does the picture show?", answer: end(caption) }];
  return (isForeign(caption) ? "language" : undefined) ?? checkText(pairs) ?? checkGrounding(pairs, "text", sheet);
};
const [own, others] = [{}, {}];
const started = performance.now();
for (const [i, picture] of pictures.entries()) {
  const [caption, ...rest] = picture.captions;
  if (caption === undefined) continue;
  // what is checked is not known: the other captions and the boxes are
  count(own, reasonOf(caption, sheets({ ...picture, captions: rest })));
  const other = pictures[(i + 997) % pictures.length].captions[0];
  if (other !== undefined) count(others, reasonOf(other, sheets({ ...picture, captions: rest })));
}
const seconds = (performance.now() - started) / 1000;
console.log(
  JSON.stringify({ pictures: pictures.length, own, others, checks_per_second: (2 * pictures.length) / seconds }),
);
