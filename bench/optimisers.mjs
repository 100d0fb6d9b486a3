// The same recipe with each optimiser: same batches in the same order, loss by steps and seconds. Prints a table and, with
// --chart, writes the curves as SVG. Seconds count only as ratios, on a machine that does nothing else.
//
//   npm run build && node bench/optimisers.mjs RECIPE [--set key=value]… [--optimizers adamw,adamw8bit,muon]
//       [--windows 8] [--out FOLDER] [--chart FILE.svg] [--threads 2]
//
// --set reaches every run; one of the form muon:stages.instruct.learning_rate=2e-4 that optimiser's alone, and a name such
// as muon/b gives an optimiser a second run with settings of its own (muon/b:…).
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createEngine } from "../dist/runtime/node.js";
import { readMetrics } from "../dist/train/metrics.js";
import { readRecipe } from "../dist/train/recipe-read.js";
import { ticks } from "../dist/train/report/scale.js";
import { train } from "../dist/train/run.js";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    set: { type: "string", multiple: true, default: [] },
    optimizers: { type: "string", default: "adamw,adamw8bit,muon" },
    windows: { type: "string", default: "8" },
    out: { type: "string", default: "runs/optimisers" },
    chart: { type: "string" },
    threads: { type: "string", default: "2" },
  },
});
const names = options.optimizers.split(",");
const own = /^([\w/]+):(.*)$/;
const settingsOf = (name) =>
  options.set.flatMap((setting) => {
    const [, whose, key] = own.exec(setting) ?? [undefined, name, setting];
    return whose === name ? [key] : [];
  });

/** Lines of the last stage; a run that was finished before is used again. */
async function run(name) {
  const recipe = await readRecipe(positionals[0], settingsOf(name));
  const output = join(options.out, name.replaceAll("/", "-"));
  if (existsSync(join(output, "model"))) return linesOf(output);
  await rm(output, { recursive: true, force: true });
  const optimizer = name.split("/")[0];
  const stages = recipe.stages.map((stage) => ({ ...stage, optimizer }));
  const engine = await createEngine({ threads: Number(options.threads) });
  try {
    await train(
      { ...recipe, stages, output, cache: join(options.out, "features") },
      {
        engine,
        onEvent: (event) => {
          if (event.type !== "step") return;
          const { step, steps, loss } = event.metrics;
          if (step % 20 === 0)
            process.stderr.write(`${name} ${event.metrics.stage} ${step}/${steps} ${loss.toFixed(3)}\n`);
        },
      },
    );
  } finally {
    await engine.close();
  }
  return linesOf(output);
}

async function linesOf(output) {
  const { steps } = await readMetrics(join(output, "metrics.jsonl"));
  return steps.filter(({ stage }) => stage === steps.at(-1).stage);
}

const curves = new Map();
for (const name of names) curves.set(name, await run(name));

const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const steps = curves.get(names[0]).length;
const width = Math.max(1, Math.floor(steps / Number(options.windows)));
const cell = (text) => String(text).padStart(12);
console.log(["steps".padEnd(12), ...names.map(cell)].join(""));
for (let start = 0; start + width <= steps; start += width) {
  const losses = names.map((name) =>
    mean(
      curves
        .get(name)
        .slice(start, start + width)
        .map(({ loss }) => loss),
    ),
  );
  const shown = losses.map((loss, i) => (i === 0 ? loss.toFixed(4) : `${loss.toFixed(4)}`));
  console.log([`${start + 1}–${start + width}`.padEnd(12), ...shown.map(cell)].join(""));
}
const seconds = names.map((name) => median(curves.get(name).map((line) => line.seconds)));
console.log(["s/step".padEnd(12), ...seconds.map((each) => cell(each.toFixed(3)))].join(""));
const means = names.map((name) => mean(curves.get(name).map(({ loss }) => loss)));
console.log(["mean".padEnd(12), ...means.map((each) => cell(each.toFixed(4)))].join(""));

if (options.chart) await writeFile(options.chart, chart());

/** Running means over a twentieth of the steps. */
function chart() {
  const [W, H, left, top, right, bottom] = [720, 360, 56, 16, 16, 40];
  const colours = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#a463f2"];
  const window = Math.max(1, Math.round(steps / 20));
  const smooth = (lines) =>
    lines.map((_, i) => mean(lines.slice(Math.max(0, i + 1 - window), i + 1).map((line) => line.loss)));
  const all = names.map((name) => smooth(curves.get(name)));
  // the first steps would make the rest a flat line
  const seen = all.flatMap((line) => line.slice(window));
  const marks = ticks(Math.min(...seen), Math.max(...seen), 6);
  const x = (i) => (left + ((i + 1) / steps) * (W - left - right)).toFixed(1);
  const y = (loss) => (top + (1 - (loss - marks[0]) / (marks.at(-1) - marks[0])) * (H - top - bottom)).toFixed(1);
  const line = (values) =>
    values
      .map((loss, i) => [i, Math.min(loss, marks.at(-1))])
      .map(([i, loss]) => `${x(i)},${y(loss)}`)
      .join(" ");
  const grid = marks.map(
    (mark) =>
      `<line x1="${left}" x2="${W - right}" y1="${y(mark)}" y2="${y(mark)}" stroke="#ddd"/>` +
      `<text x="${left - 6}" y="${Number(y(mark)) + 4}" text-anchor="end">${Number(mark.toPrecision(6))}</text>`,
  );
  const steady = [0, 0.25, 0.5, 0.75, 1].map((share) => Math.max(1, Math.round(share * steps)));
  const labels = steady.map(
    (step) => `<text x="${x(step - 1)}" y="${H - bottom + 18}" text-anchor="middle">${step}</text>`,
  );
  const curvesOf = all.map(
    (values, i) => `<polyline points="${line(values)}" fill="none" stroke="${colours[i]}" stroke-width="2"/>`,
  );
  const keys = names.map(
    (name, i) =>
      `<line x1="${W - 170}" x2="${W - 146}" y1="${top + 14 + 20 * i}" y2="${top + 14 + 20 * i}" stroke="${colours[i]}" stroke-width="3"/>` +
      `<text x="${W - 140}" y="${top + 18 + 20 * i}">${name}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${W} ${H}" font-family="sans-serif" font-size="12" fill="#333">
<rect width="${W}" height="${H}" fill="white"/>
${[...grid, ...labels, ...curvesOf, ...keys].join("\n")}
<text x="${W / 2}" y="${H - 4}" text-anchor="middle">optimiser steps; loss, mean of the last ${window}</text>
</svg>
`;
}
