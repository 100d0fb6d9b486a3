// What the quickstart says at its end: figures, answers, and what to type next.
import { join } from "node:path";
import type { QuickstartResult } from "./quickstart.ts";

/** The closing words, plain text, for stdout. `command` is how the reader calls this program, e.g. "npm run -s llava --". */
export function describeQuickstart(result: QuickstartResult, command: string): string {
  const { files, sighted, blind, picture, answers, seconds } = result;
  const asked = answers.flatMap(({ question, answer, truth }) => [
    `  you    ${question}`,
    `  model  ${answer}`,
    `  truth  ${truth}`,
    "",
  ]);
  return [
    `Done in ${duration(seconds)}.`,
    "",
    `Scores on ${sighted.n} yes/no questions about pictures it has never seen:`,
    `  with the picture       ${percent(sighted.accuracy)} right`,
    `  with another picture   ${percent(blind.accuracy)} right (what it knows without seeing)`,
    "",
    `About ${picture}:`,
    ...asked,
    `Curves, scores and answers: ${files.report}`,
    "",
    "Go on:",
    `  ${command} chat ${files.model} --image ${picture}`,
    `  ${command} eval ${files.model} --task pope --questions ${files.questions} --images ${join(files.heldOut, "photos")}`,
    "",
    "With your own pictures (a folder of photos with captions.jsonl, captions.csv or COCO files):",
    `  ${command} teach YOUR_FOLDER --out data/instruct.json --align data/captions.json`,
    `  ${command} data check data/instruct.json --images YOUR_FOLDER`,
    `  ${command} train recipes/YOUR_RECIPE.yaml`,
    `  ${command} chat runs/YOUR_RUN/model --image YOUR_PICTURE.jpg`,
  ].join("\n");
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
