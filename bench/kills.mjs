// Kills a small training run so many times at random instants (200 unless told) and compares each resumed run with an
// undisturbed one: node bench/kills.mjs [COUNT] [SEED]
import { spawnSync } from "node:child_process";

const [count = "200", seed = "0"] = process.argv.slice(2);
const started = performance.now();
const { status } = spawnSync("npx", ["vitest", "run", "test/train-kill.test.ts", "-t", "kill -9"], {
  stdio: "inherit",
  env: { ...process.env, LLAVA_KILLS: count, LLAVA_KILLS_SEED: seed },
});
console.log(`${count} kills, seed ${seed}: ${status === 0 ? "all" : "NOT all"} runs ended as the undisturbed one`);
console.log(`${Math.round((performance.now() - started) / 1000)} s`);
process.exitCode = status ?? 1;
