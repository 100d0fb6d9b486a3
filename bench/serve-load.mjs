// Honest questions to `llava serve` while others attack it: does it go on, how much later are answers, does memory grow?
// node bench/serve-load.mjs MODEL [minutes=10]; MODEL is a llava folder, e.g. runs/quickstart/model.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { deflateSync } from "node:zlib";
import sharp from "sharp";

const [model, minutes = "10"] = process.argv.slice(2);
const idleMs = 60_000;
const attackMs = Number(minutes) * 60_000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const child = spawn(process.execPath, ["dist/cli/main.js", "serve", model, "--port", "0", "--json", "--queue", "16"], {
  stdio: ["ignore", "pipe", "ignore"],
});
const server = { exited: false };
child.on("exit", () => (server.exited = true));
const { url } = JSON.parse(await new Promise((resolve) => child.stdout.once("data", (data) => resolve(String(data)))));
const port = Number(new URL(url).port);
const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))[1]) / 1024;

async function post(body, signal, headers = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const sent = { method: "POST", headers: { "content-type": "application/json", ...headers }, body: text };
  const response = await fetch(`${url}/v1/chat/completions`, { ...sent, ...(signal && { signal }) });
  await response.text();
  return response.status;
}
const dataUrl = (bytes) => `data:image/png;base64,${bytes.toString("base64")}`;
const picture = (address) => ({ type: "image_url", image_url: { url: address } });
const ask = (content, more = {}) => ({ messages: [{ role: "user", content }], max_tokens: 16, ...more });
const draw = (side, background) => sharp({ create: { width: side, height: side, channels: 3, background } });

const photo = dataUrl(await draw(320, "#369").jpeg().toBuffer());
const honest = ask([picture(photo), { type: "text", text: "What is in the picture?" }]);
const plain = await draw(64, "#963").png().toBuffer();
const bomb = dataUrl(
  await sharp({ create: { width: 16_000, height: 16_000, channels: 3, background: "#000" }, limitInputPixels: false })
    .png()
    .toBuffer(),
);
const chunk = (type, data) => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length);
  head.write(type, 4, "latin1");
  return Buffer.concat([head, data, Buffer.alloc(4)]);
};
const chunks = Buffer.concat([
  plain.subarray(0, 33),
  ...Array.from({ length: 200_000 }, () => chunk("teXt", Buffer.alloc(0))),
]);
const wrongPixels = Buffer.concat([
  plain.subarray(0, 33),
  chunk("IDAT", deflateSync(Buffer.alloc(9_000_000))),
  plain.subarray(-12),
]);

/** Each is one hostile request or connection; whatever comes back is fine, as long as something does. */
const attacks = [
  () => post(ask([picture(bomb)])),
  () => post(ask([picture(dataUrl(chunks))])),
  () => post(ask([picture(dataUrl(wrongPixels))])),
  () => post(ask([picture(dataUrl(plain.subarray(0, 90)))])),
  () => post(ask([picture(dataUrl(randomBytes(4_000_000)))])),
  () => post("[".repeat(1_000_000)),
  () => post(`{"messages":[${'{"role":"user","content":""},'.repeat(400_000)}{}]}`),
  () => post(ask("x".repeat(25 * 2 ** 20))),
  () => post(ask("word ".repeat(200_000))),
  () => post(ask("<image></s><|im_end|>".repeat(50))),
  () => post(ask("x", { n: 1e6, max_tokens: 1e9 })),
  () => post(ask([picture("http://169.254.169.254/latest/meta-data")])),
  () => post(ask("x"), undefined, { origin: "https://evil.example.com" }),
  async () => post(ask("tell me a long story", { max_tokens: 400 }), AbortSignal.timeout(100)).catch(() => 499),
  () =>
    new Promise((resolve) => {
      // a head that never ends
      const socket = connect(port, "127.0.0.1");
      socket.write("POST / HTTP/1.1\r\nHost: localhost\r\n");
      socket.on("error", () => undefined);
      setTimeout(() => socket.destroy(), 15_000);
      resolve(408);
    }),
];

const quantile = (values, q) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))];

async function phase(name, ms) {
  const [took, sizes] = [[], []];
  let failed = 0;
  const end = Date.now() + ms;
  while (Date.now() < end && !server.exited) {
    const started = performance.now();
    const status = await post(honest).catch(() => 0);
    if (status === 200) took.push(performance.now() - started);
    else failed++;
    sizes.push(memory());
    await pause(50);
  }
  const tenth = Math.max(1, Math.floor(sizes.length / 10));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    phase: name,
    answers: took.length,
    failed,
    p50_ms: Math.round(quantile(took, 0.5)),
    p99_ms: Math.round(quantile(took, 0.99)),
    memory_first_tenth_mb: Math.round(mean(sizes.slice(0, tenth))),
    memory_last_tenth_mb: Math.round(mean(sizes.slice(-tenth))),
    memory_most_mb: Math.round(Math.max(...sizes)),
  };
}

await post(honest);
console.log(JSON.stringify(await phase("idle", idleMs)));
const attack = { goesOn: true };
const statuses = {};
const attackers = Array.from({ length: 3 }, async (_, i) => {
  for (let n = i; attack.goesOn; n += 3) {
    const status = await attacks[n % attacks.length]().catch(() => 0);
    statuses[status] = (statuses[status] ?? 0) + 1;
    await pause(100);
  }
});
console.log(JSON.stringify(await phase("attacked", attackMs)));
attack.goesOn = false;
await Promise.all(attackers);
console.log(JSON.stringify({ statuses, restarts: server.exited ? 1 : 0 }));
child.kill("SIGTERM");
