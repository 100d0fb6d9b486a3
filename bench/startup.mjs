// What passes before step 0 on a large data set, phase by phase: reading, tokens, pictures, and the whole of it.
//   node bench/startup.mjs [--samples 158000] [--pictures 2000] [--language ../shared/models/smollm2-135m-instruct]
//     [--vision ../shared/models/vit-tiny-patch16-224] [--starts 2] [--folder FOLDER] [--no-phases]
//
// The data is made by the script: conversations of three turns in the words of shared/data/coco's captions, LLaVA's size (some
// 1.4 KB each), pictures drawn small. Each start is a process of its own; CPU seconds are told beside wall ones, as
// other work stretches the latter alone.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import sharp from "sharp";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    samples: { type: "string", default: "158000" },
    pictures: { type: "string", default: "2000" },
    language: { type: "string", default: "../shared/models/smollm2-135m-instruct" },
    vision: { type: "string", default: "../shared/models/vit-tiny-patch16-224" },
    captions: { type: "string", default: "../shared/data/coco/captions.json" },
    starts: { type: "string", default: "2" },
    "no-phases": { type: "boolean", default: false },
    folder: { type: "string" },
  },
});
const count = Number(values.samples);
const pictures = Number(values.pictures);

async function makeData(folder) {
  const { random } = await import("../dist/data/random.js");
  const { writeSamples } = await import("../dist/data/samples.js");
  const { annotations } = JSON.parse(readFileSync(values.captions, "utf8"));
  const dice = random("startup");
  const said = (sentences) =>
    Array.from({ length: sentences }, () => annotations[dice.int(annotations.length)].caption.trim()).join(" ");
  mkdirSync(join(folder, "images"), { recursive: true });
  for (let i = 0; i < pictures; i++) {
    const background = { r: i % 256, g: (i >> 8) % 256, b: dice.int(256) };
    const drawn = sharp({ create: { width: 224, height: 224, channels: 3, background } });
    await drawn.jpeg().toFile(join(folder, "images", `${i}.jpg`));
  }
  const samples = function* () {
    for (let i = 0; i < count; i++) {
      const turns = Array.from({ length: 3 }, (_, turn) => [
        { from: "human", value: `${turn === 0 && pictures > 0 ? "<image>\n" : ""}${said(1)}?` },
        { from: "gpt", value: said(6) },
      ]);
      const images = pictures > 0 ? [`${i % pictures}.jpg`] : [];
      yield { id: `s${i}`, images, conversations: turns.flat(), extra: {}, where: "" };
    }
  };
  await writeSamples(join(folder, "data.json"), samples());
}

async function timed(work) {
  const started = performance.now();
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  const round = (seconds) => Number(seconds.toFixed(2));
  return { result, seconds: { wall: round((performance.now() - started) / 1000), cpu: round((user + system) / 1e6) } };
}

async function openRecipe(folder) {
  const { parseRecipe } = await import("../dist/train/recipe-read.js");
  const recipe = {
    name: "startup",
    model: {
      vision: { path: values.vision, layer: -2, tokens: "patch" },
      projector: { kind: "mlp2x_gelu", pixel_shuffle: 2 },
      language: { path: values.language },
      template: "chatml",
    },
    stages: [
      {
        name: "instruct",
        data: join(folder, "data.json"),
        images: join(folder, "images"),
        train: ["projector", "language"],
        batch_size: 16,
        learning_rate: 1e-3,
        epochs: 1,
      },
    ],
    output: join(folder, "run"),
    cache: join(folder, "cache"),
  };
  return parseRecipe(JSON.stringify(recipe), "startup.yaml");
}

/** One start in this process; with `phases` each part of it alone, before the whole. */
async function start(folder, phases) {
  const { assemble } = await import("../dist/train/assemble.js");
  const { loadStages } = await import("../dist/train/stage-data.js");
  const recipe = await openRecipe(folder);
  const opened = await timed(() => assemble(recipe));
  const assembly = opened.result;
  const spent = { open: opened.seconds, ...(phases ? await eachPhase(folder, assembly) : {}) };
  if (!phases) {
    const whole = await timed(() => loadStages({ assembly, stages: recipe.stages, cache: recipe.cache }));
    const [{ hash, sums }] = whole.result;
    Object.assign(spent, { whole: whole.seconds, tokens: sums.tokens, hash: hash.slice(0, 12) });
  }
  await assembly.close();
  return { ...spent, peak_mb: Math.round(process.resourceUsage().maxRSS / 1000) };
}

async function eachPhase(folder, { tokenizer, config }) {
  const { readSamples } = await import("../dist/data/samples.js");
  const { encodeSample } = await import("../dist/data/encode.js");
  const { checkPictures } = await import("../dist/data/check-pictures.js");
  const { Problems } = await import("../dist/data/problems.js");
  const { templateNamed } = await import("../dist/text/templates.js");
  const read = await timed(() => readSamples(join(folder, "data.json")));
  const { imageTokenId } = config;
  const encoding = { tokenizer, template: templateNamed("chatml"), tokensPerImage: 49, imageTokenId };
  const encoded = await timed(() => {
    let tokens = 0;
    for (const sample of read.result) tokens += encodeSample(sample, encoding).ids.length;
    return tokens;
  });
  const named = new Map(read.result.flatMap(({ images, where }) => images.map((image) => [image, where])));
  const decoded = await timed(() => checkPictures(join(folder, "images"), named, new Problems()));
  return { read: read.seconds, encode: encoded.seconds, pictures: decoded.seconds };
}

function inProcess(mode, folder) {
  const self = fileURLToPath(import.meta.url);
  const given = ["--language", values.language, "--vision", values.vision, "--folder", folder];
  const run = spawnSync(process.execPath, [self, mode, ...given], { stdio: ["ignore", "pipe", "inherit"] });
  if (run.status !== 0) process.exit(run.status ?? 1);
  return JSON.parse(run.stdout.toString());
}

async function all() {
  const folder = values.folder ?? mkdtempSync(join(tmpdir(), "startup-"));
  if (!existsSync(join(folder, "data.json"))) await makeData(folder);
  const data_mb = Math.round(statSync(join(folder, "data.json")).size / 1e6);
  console.log(JSON.stringify({ samples: count, pictures, data_mb }));
  if (!values["no-phases"]) console.log(JSON.stringify({ phases: inProcess("phases", folder) }));
  for (let i = 1; i <= Number(values.starts); i++)
    console.log(JSON.stringify({ start: i, ...inProcess("start", folder) }));
  if (values.folder === undefined) rmSync(folder, { recursive: true });
}

const [mode] = positionals;
if (mode === undefined) await all();
else console.log(JSON.stringify(await start(values.folder, mode === "phases")));
