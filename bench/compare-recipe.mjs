// The lab recipe by `llava train` and by Hugging Face's Trainer in turn: tokens a second of each stage, padding not
// counted, and what the whole recipe takes at that pace. Both see the same data, batch sizes, rates and optimiser.
//
//   npm run build && node bench/compare-recipe.mjs [RECIPE] [--steps 20] [--rounds 2] [--python python3]
//
// RECIPE is recipes/coco-lab.yaml unless told; its head says which data must lie there. Steps at the start of each stage
// are not counted; features that ours encodes once are counted in full.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    steps: { type: "string", default: "20" },
    rounds: { type: "string", default: "2" },
    python: { type: "string", default: "python3" },
  },
});
const warmup = 3;
const steps = Number(options.steps) + warmup;
const recipePath = positionals[0] ?? "recipes/coco-lab.yaml";
const { readRecipe } = await import("../dist/train/recipe-read.js");
const recipe = await readRecipe(recipePath);
const { vision, language } = recipe.model;
const [align, instruct] = recipe.stages;
const scratch = mkdtempSync(join(tmpdir(), "compare-recipe-"));
const file = (name) => fileURLToPath(new URL(name, import.meta.url));

function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr.slice(-2000)}`);
  return stdout;
}

/** Tokens a second over the steps behind the first ones. */
function pace({ seconds, tokens }) {
  const sum = (values) => values.slice(warmup).reduce((a, b) => a + b, 0);
  return sum(tokens) / sum(seconds);
}

function ours() {
  const output = join(scratch, "run");
  rmSync(output, { recursive: true, force: true });
  const limits = [align, instruct].flatMap((stage) => [
    "--set",
    `stages.${stage.name}.limit=${steps * stage.batch_size}`,
  ]);
  run(process.execPath, [file("../dist/cli/main.js"), "train", recipePath, "--set", `output=${output}`, ...limits]);
  const lines = readFileSync(join(output, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return Object.fromEntries(
    [align, instruct].map(({ name }) => {
      const mine = lines.filter(({ stage, seconds }) => stage === name && seconds !== undefined);
      return [name, pace({ seconds: mine.map((each) => each.seconds), tokens: mine.map((each) => each.tokens) })];
    }),
  );
}

function theirs() {
  const gguf = readdirSync(language.path).find((name) => name.endsWith(".gguf"));
  const data = (stage) => stage.data[0].path;
  const stdout = run(options.python, [
    file("recipe.py"),
    ...["--vision", vision.path, "--language", language.path, "--gguf", gguf, "--images", align.data[0].images],
    ...["--align", data(align), "--instruct", data(instruct)],
    ...["--align-steps", String(steps), "--instruct-steps", String(steps)],
  ]);
  const result = JSON.parse(stdout.trim().split("\n").at(-1));
  return { align: pace(result.align), instruct: pace(result.instruct), peak_mb: result.peak_mb };
}

const rounds = [];
for (let round = 1; round <= Number(options.rounds); round++) {
  rounds.push({ ours: ours(), theirs: theirs() });
  console.error(JSON.stringify(rounds.at(-1)));
}
rmSync(scratch, { recursive: true, force: true });
const mean = (who, stage) => rounds.reduce((sum, each) => sum + each[who][stage], 0) / rounds.length;
console.log(`${cpus()[0].model}; ${options.rounds} rounds of ${options.steps} steps a stage in turn`);
console.log("stage      ours, tokens/s   Trainer, tokens/s   ours is faster by");
for (const { name } of [align, instruct]) {
  const [a, b] = [mean("ours", name), mean("theirs", name)];
  console.log(
    [
      name.padEnd(10),
      a.toFixed(0).padStart(14),
      b.toFixed(0).padStart(19),
      `${(a / b).toFixed(2)} ×`.padStart(19),
    ].join(" "),
  );
}
