// The teacher against an endpoint of 50 ms and 200 slots, the resume of a large job, and its memory.
//
//   npm run build && node bench/teacher.mjs throughput [--rows 20000] [--rounds 3] [--slots 200] [--ms 50]
//                    node bench/teacher.mjs resume [--rows 158000]
//                    node bench/teacher.mjs facts [--rows 1000000]
//
// throughput: the endpoint is a process of its own; a bare client without ledger, budget and checks asks it in turn.
// resume: all rows but the last are in the ledger; time from the start of a process to its first request.
// facts: the built-in teacher over rows that are made as they are read; its memory at its highest.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { Agent, createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openEndpoint } from "../dist/endpoint/endpoint.js";
import { encodeRow } from "../dist/endpoint/ledger-rows.js";
import { teachFacts } from "../dist/teacher/facts/teach.js";
import { readBuiltInKinds } from "../dist/teacher/kind.js";
import { requestsFor } from "../dist/teacher/messages.js";
import { runTeacher } from "../dist/teacher/run.js";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: "string" },
    rounds: { type: "string", default: "3" },
    slots: { type: "string", default: "200" },
    ms: { type: "string", default: "50" },
    out: { type: "string" },
    base: { type: "string" },
  },
});
const [mode] = positionals;
const [slots, ms] = [Number(values.slots), Number(values.ms)];
const self = fileURLToPath(import.meta.url);
const kinds = await readBuiltInKinds(["conversation"]);
const caption = (i) => `A dog number ${i} runs over a wide green field behind an old farm house`;

/** Rows as a source would give them, made when they are asked for; `onLast` is told before the last of each pass. */
function source(count, onLast = () => undefined) {
  const pictures = function* () {
    for (let i = 0; i < count; i++) {
      if (i === count - 1) onLast();
      yield { id: `p${i}`, image: `${i}.jpg`, captions: [caption(i), `${caption(i)} in the sun`] };
    }
  };
  return { pictures, count };
}

const asked = [
  "What runs",
  "Who hurries",
  "Which animal is seen",
  "What moves",
  "What is on its way",
  "Who is outside",
];
const talk = asked
  .map((words) => `Question:\n${words} over the field?\n===\nAnswer:\nA dog, and it seems to be in a hurry.\n===\n`)
  .join("");
const reply = JSON.stringify({
  model: "m",
  choices: [{ finish_reason: "stop", message: { content: talk } }],
  usage: { prompt_tokens: 1200, completion_tokens: 200 },
});

/** So many requests are worked on at once, `ms` each; more wait in line. */
function serve() {
  let free = slots;
  const line = [];
  const start = (response) => {
    setTimeout(() => {
      response.writeHead(200, { "content-type": "application/json", "content-length": reply.length }).end(reply);
      const next = line.shift();
      if (next === undefined) free++;
      else start(next);
    }, ms);
  };
  const server = createServer((incoming, response) => {
    incoming.resume().on("end", () => {
      if (free === 0) line.push(response);
      else {
        free--;
        start(response);
      }
    });
  });
  server.listen(0, "127.0.0.1", () => process.send(server.address().port));
}

async function withServer(work) {
  const child = spawn(process.execPath, [self, "serve", "--slots", values.slots, "--ms", values.ms], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const port = await new Promise((resolve) => child.once("message", resolve));
  try {
    return await work(`http://127.0.0.1:${port}/v1`);
  } finally {
    child.kill();
  }
}

/** Requests as large as ours, replies read to the end, nothing else. */
async function bare(base, count) {
  const agent = new Agent({ keepAlive: true });
  const make = requestsFor(kinds[0], { model: "m" });
  const [first] = source(1).pictures();
  const body = JSON.stringify(make(first).chat());
  const one = () =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const outgoing = request(`${base}/chat/completions`, { method: "POST", agent, headers }, (incoming) => {
        incoming.resume().on("end", resolve);
      });
      outgoing.on("error", reject).end(body);
    });
  let left = count;
  const worker = async () => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: slots }, worker));
  agent.destroy();
}

async function timed(work) {
  const started = performance.now();
  const cpu = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - started) / 1000, cpu: (user + system) / 1e6 };
}

async function throughput() {
  const count = Number(values.rows ?? 20_000);
  const limit = (slots * 1000) / ms;
  await withServer(async (base) => {
    await bare(base, count / 10);
    for (let round = 0; round < Number(values.rounds); round++) {
      const folder = mkdtempSync(join(tmpdir(), "teach-"));
      const without = await timed(() => bare(base, count));
      const price = { input: 0.15, output: 0.6 };
      const endpoint = openEndpoint({ baseUrl: base, concurrency: slots, price });
      const options = { kinds, endpoint, model: "m", out: join(folder, "out.jsonl"), budget: 1e15 };
      const ours = { seconds: 0, cpu: 0 };
      // from the first request to the last answer; the samples are written after it
      let last = 0;
      const started = performance.now();
      const cpu = process.cpuUsage();
      await runTeacher(source(count), {
        ...options,
        onProgress: ({ accepted }) => {
          if (accepted < count) return;
          last = performance.now();
          const { user, system } = process.cpuUsage(cpu);
          ours.cpu = (user + system) / 1e6;
        },
      });
      ours.seconds = (last - started) / 1000;
      const rate = (run) => count / run.seconds;
      console.log(
        JSON.stringify({
          bare: Math.round(rate(without)),
          ours: Math.round(rate(ours)),
          of_limit: Number((rate(ours) / limit).toFixed(3)),
          of_bare: Number((rate(ours) / rate(without)).toFixed(3)),
          cpu_us: { bare: Math.round((without.cpu / count) * 1e6), ours: Math.round((ours.cpu / count) * 1e6) },
          peak_mb: Math.round(process.resourceUsage().maxRSS / 1000),
        }),
      );
      rmSync(folder, { recursive: true });
    }
  });
}

/** A ledger in which every row but the last is answered. */
async function writeLedger(path, count) {
  const make = requestsFor(kinds[0], { model: "m" });
  const file = await open(path, "w");
  let chunk = [];
  let i = 0;
  for (const picture of source(count - 1).pictures()) {
    const { key, id } = make(picture);
    const at = "2026-11-23T12:00:00.000Z";
    const common = { key, id, at, n: 1, to: "http://127.0.0.1/v1/chat/completions" };
    chunk.push(encodeRow({ t: "sent", ...common, cost: 2_000_000, model: "m", nonce: "0123456789abcdef01234567" }));
    chunk.push(encodeRow({ t: "answer", ...common, cost: 300_000, ms: 900, in: 1200, out: 200, body: reply }));
    if (++i % 5000 === 0) {
      await file.write(Buffer.concat(chunk));
      chunk = [];
    }
  }
  await file.write(Buffer.concat(chunk));
  await file.close();
}

async function resume() {
  const count = Number(values.rows ?? 158_000);
  const folder = mkdtempSync(join(tmpdir(), "teach-"));
  const out = join(folder, "out.jsonl");
  await writeLedger(`${out}.ledger.jsonl`, count);
  let asked = 0;
  const server = createServer((incoming, response) => {
    asked = performance.now();
    incoming.resume().on("end", () => response.end(reply));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}/v1`;
  const started = performance.now();
  const child = spawn(process.execPath, [self, "run", "--rows", String(count), "--out", out, "--base", base]);
  let said = "";
  child.stdout.on("data", (chunk) => (said += chunk));
  child.stderr.pipe(process.stderr);
  await new Promise((resolve) => child.on("exit", resolve));
  const bytes = statSync(`${out}.ledger.jsonl`).size;
  const times = { first_request_s: (asked - started) / 1000, whole_s: (performance.now() - started) / 1000 };
  console.log(JSON.stringify({ rows: count, ledger_mb: Math.round(bytes / 1e6), ...times, ...JSON.parse(said) }));
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true });
}

async function run() {
  const endpoint = openEndpoint({ baseUrl: values.base, concurrency: 8 });
  const spent = () => {
    const { user, system } = process.cpuUsage();
    return Number(((user + system) / 1e6).toFixed(2));
  };
  // of the process's time, what had passed when the last row, the only one to be asked for, was reached
  let first_request_cpu_s;
  const rows = source(Number(values.rows), () => (first_request_cpu_s ??= spent()));
  const summary = await runTeacher(rows, { kinds, endpoint, model: "m", out: values.out });
  const peak_mb = Math.round(process.resourceUsage().maxRSS / 1000);
  console.log(JSON.stringify({ accepted: summary.accepted, peak_mb, first_request_cpu_s, cpu_s: spent() }));
}

const names =
  "person dog cat car bus bicycle chair table cup bottle horse sheep cow boat train truck bench bird umbrella kite".split(
    " ",
  );

/** Rows with a caption and one to four boxes of twenty names. */
function* boxed(count) {
  for (let i = 0; i < count; i++) {
    const objects = Array.from({ length: 1 + (i % 4) }, (_, k) => {
      const left = ((i * 7 + k * 13) % 50) / 100;
      const name = names[(i * (k + 3) + k * k * 5 + (i >> 4)) % names.length];
      return { name, box: [left, 0.1, left + 0.3, 0.6] };
    });
    const captions = [`A ${objects[0].name} on a wide green field behind an old house`];
    yield { id: `p${i}`, image: `${i}.jpg`, captions, objects };
  }
}

async function facts() {
  const count = Number(values.rows ?? 1_000_000);
  let samples = 0;
  const { seconds, cpu } = await timed(async () => {
    for await (const _ of teachFacts({ count, pictures: () => boxed(count) }, { seed: 1 })) samples++;
  });
  const peak_mb = Math.round(process.resourceUsage().maxRSS / 1000);
  console.log(JSON.stringify({ rows: count, samples, seconds, cpu_s: cpu, peak_mb }));
}

const modes = { throughput, resume, facts, serve, run };
if (modes[mode] === undefined) {
  console.error("node bench/teacher.mjs throughput|resume|facts");
  process.exit(2);
}
await modes[mode]();
