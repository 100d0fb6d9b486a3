// What the server measures, for Prometheus: requests, the queue, and where an answer's time goes.
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Generation } from "../generate/generation.ts";
import type { Gate } from "./gate.ts";

/** queue: waiting for a turn; decode: picture file → pixels; encode: pixels → features */
export type Phase = "queue" | "decode" | "encode";

export interface Metrics {
  /** Measures how long `work` takes. */
  time<T>(phase: Phase, work: () => Promise<T>): Promise<T>;
  /** Counts a picture, and whether its features were cached. */
  picture(cached: boolean): void;
  /** Counts an answer that began at `started` and had its `first` token then (milliseconds). */
  answer(generation: Generation, started: number, first: number | undefined): void;
  request(route: string, status: number, seconds: number): void;
  /** The text that Prometheus reads, and its type. */
  text(): Promise<{ readonly body: string; readonly type: string }>;
}

const seconds = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];

/** Makes measurements in a registry of their own. */
function maker(registers: [Registry]) {
  return {
    histogram: (name: string, help: string, labelNames: readonly string[] = []) =>
      new Histogram({ name: `llava_${name}_seconds`, help, labelNames, buckets: seconds, registers }),
    counter: (name: string, help: string, labelNames: readonly string[] = []) =>
      new Counter({ name: `llava_${name}_total`, help, labelNames, registers }),
    gauge: (name: string, help: string, read: () => number): void =>
      void new Gauge({
        name: `llava_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      }),
  };
}

/** Metrics of one server. */
export function createMetrics(gate: Gate): Metrics {
  const registry = new Registry();
  const { histogram, counter, gauge } = maker([registry]);
  const requests = counter("requests", "Requests by route and status", ["route", "status"]);
  const durations = histogram("request", "From a request's head to its last byte", ["route"]);
  const phases: Record<Phase, Histogram> = {
    queue: histogram("queue", "Waiting for a turn"),
    decode: histogram("picture_decode", "Decoding one picture and making its views"),
    encode: histogram("picture_encode", "Reading one picture with the vision tower"),
  };
  const prefill = histogram("prefill", "From the prompt to the first token");
  const decode = histogram("decode_token", "Each token after the first");
  const pictures = counter("pictures", "Pictures by whether their features were cached", ["cached"]);
  const tokens = counter("tokens", "Tokens by kind: prompt, cached (of the prompt) or completion", ["kind"]);
  const finished = counter("answers", "Answers by how they ended", ["finish"]);
  gauge("answers_running", "Answers being computed", () => gate.taken);
  gauge("requests_waiting", "Requests that wait for their turn", () => gate.waiting);
  gauge("resident_memory_bytes", "Resident memory of the process", () => process.memoryUsage.rss());
  return {
    async time(phase, work) {
      const started = performance.now();
      const result = await work();
      phases[phase].observe((performance.now() - started) / 1000);
      return result;
    },
    picture: (cached) => pictures.inc({ cached: String(cached) }),
    answer({ ids, promptTokens, cachedTokens, finishReason }, started, first) {
      tokens.inc({ kind: "prompt" }, promptTokens);
      tokens.inc({ kind: "cached" }, cachedTokens);
      tokens.inc({ kind: "completion" }, ids.length);
      finished.inc({ finish: finishReason });
      if (first === undefined) return;
      prefill.observe((first - started) / 1000);
      if (ids.length > 1) decode.observe((performance.now() - first) / 1000 / (ids.length - 1));
    },
    request(route, status, taken) {
      requests.inc({ route, status: String(status) });
      durations.observe({ route }, taken);
    },
    text: async () => ({ body: await registry.metrics(), type: registry.contentType }),
  };
}
