// Makes the quickstart's tiny bases anew: `node scripts/make-tiny-bases.mjs [FOLDER]` (assets/tiny unless told); half an hour.
import { tmpdir } from "node:os";
import { mkdtemp } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build, isStale } from "./build.mjs";

if (isStale()) build();
const { createEngine } = await import("../dist/runtime/node.js");
const { makeTinyBases } = await import("../dist/quickstart/bases/make.js");
const folder = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), "../assets/tiny"));
const scratch = await mkdtemp(join(tmpdir(), "tiny-bases-"));
const engine = await createEngine();
let shown = 0;
await makeTinyBases({
  engine,
  folder,
  scratch,
  onStep: (base, step, steps, loss) => {
    if (step < steps && performance.now() - shown < 10_000) return;
    shown = performance.now();
    console.error(`${base}  step ${step} of ${steps}  loss ${loss.toFixed(3)}`);
  },
});
await engine.close();
console.log(folder);
