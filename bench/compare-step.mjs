// Training steps of ours and of PyTorch in turn, in one run: machines drift, so only ratios within a run count.
//
//   npm run build && node bench/compare-step.mjs [--rounds 3] [--steps 8] [--threads 2] [--python python3]
//       [--task step|packed|align] [--bf16] [--malloc] [--lora 16] [--json] [--tiny]
//
// --task: see step.mjs; packed sets ours in rows of packed documents beside ours in plain rows, align freezes the
// language model in ours and theirs.
// --bf16 adds PyTorch under bfloat16 autocast; --malloc adds each with a malloc that keeps its pages;
// --lora trains adapters of that rank on all linear layers, PyTorch by PEFT.
import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "8" },
    threads: { type: "string", default: "2" },
    python: { type: "string", default: "python3" },
    bf16: { type: "boolean", default: false },
    malloc: { type: "boolean", default: false },
    lora: { type: "string" },
    json: { type: "boolean", default: false },
    task: { type: "string", default: "step" },
    tiny: { type: "boolean", default: false },
  },
});

/** Steps at the start of each process that are not counted: programs are compiled, pages are touched first. */
const warmup = 2;
/** glibc gives large blocks back and faults them in again, unless told not to. */
const keepingMalloc = {
  MALLOC_MMAP_THRESHOLD_: "8000000000",
  MALLOC_TRIM_THRESHOLD_: "80000000000",
  MALLOC_TOP_PAD_: "67108864",
};
const ours = [process.execPath, "step.mjs"];
const torch = [options.python, "step.py"];
const { task } = options;
const theirs = task === "align" ? ["--task", "align"] : [];
const contenders = [
  { name: task === "step" ? "ours" : `ours, ${task}`, command: ours, flags: ["--task", task] },
  ...(task === "packed" ? [{ name: "ours, plain", command: ours }] : []),
  { name: "PyTorch float32", command: torch, flags: theirs },
  ...(options.bf16 ? [{ name: "PyTorch bfloat16", command: torch, flags: [...theirs, "--bf16"] }] : []),
].flatMap((each) => [each, ...(options.malloc ? [{ ...each, name: `${each.name}, malloc`, env: keepingMalloc }] : [])]);

function run({ name, command: [program, file], flags = [], env = {} }) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const lora = options.lora === undefined ? [] : ["--lora", options.lora];
  const args = [path, "--threads", options.threads, "--steps", options.steps, ...lora, ...flags];
  const { status, stdout, stderr } = spawnSync(program, options.tiny ? [...args, "--tiny"] : args, {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

const runs = new Map(contenders.map(({ name }) => [name, []]));
for (let round = 1; round <= Number(options.rounds); round++) {
  for (const contender of contenders) {
    const result = run(contender);
    runs.get(contender.name).push(result);
    const seconds = median(result.seconds.slice(warmup)).toFixed(3);
    process.stderr.write(`round ${round}: ${contender.name} ${seconds} s/step, ${result.peak_mb.toFixed(0)} MB\n`);
  }
}

const rows = [...runs].map(([name, results]) => ({
  name,
  seconds: median(results.flatMap((result) => result.seconds.slice(warmup))),
  tokens: results[0].tokens,
  peak_mb: Math.max(...results.map((result) => result.peak_mb)),
  first_loss: results[0].losses[0],
  last_loss: results[0].losses.at(-1),
}));
const table = rows.map((row) => ({
  ...row,
  // by the token: packed rows hold a few of padding
  speed: (row.seconds / row.tokens) * (rows[0].tokens / rows[0].seconds),
  memory: rows[0].peak_mb / row.peak_mb,
}));
if (options.json) console.log(JSON.stringify({ cpu: cpus()[0].model, ...options, results: table }));
else {
  console.log(
    `${cpus()[0].model}, ${options.threads} threads, ${options.rounds} rounds of ${options.steps} steps in turn`,
  );
  console.log(
    "contender                 s/step  peak MB  ours is faster by  ours takes of its memory  loss first → last",
  );
  for (const { name, seconds, peak_mb: peak, speed, memory, first_loss: first, last_loss: last } of table) {
    const cells = [seconds.toFixed(3).padStart(7), peak.toFixed(0).padStart(8), `${speed.toFixed(2)} ×`.padStart(18)];
    const loss = `${first.toFixed(3)} → ${last.toFixed(3)}`;
    console.log([name.padEnd(24), ...cells, `${memory.toFixed(2)} ×`.padStart(25), ` ${loss}`].join(" "));
  }
}
