import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openAdmission, type Admission, type AdmissionOptions, type Permit } from "./admission.ts";
import { readRateSignals, type RateSignals } from "./rate-limits.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] }));
afterEach(() => vi.useRealTimers());

const quiet: RateSignals = { requests: {}, tokens: {} };

function open(more: Partial<AdmissionOptions>): Admission {
  return openAdmission({ concurrency: 8, longestWaitMs: 600_000, pauseMs: 500, ...more });
}

/** When each of `count` requests starts, in ms; each takes `takes` ms and counts `tokens`, of which `used` are real. */
async function starts(
  admission: Admission,
  count: number,
  { takes = 1, tokens = 0, used }: { takes?: number; tokens?: number; used?: number } = {},
): Promise<number[]> {
  const begun = performance.now();
  const found: number[] = [];
  const all = Array.from({ length: count }, async () => {
    const permit = await admission.acquire(tokens, undefined);
    found.push(performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, takes));
    permit.release(used);
  });
  await vi.advanceTimersByTimeAsync(3_600_000);
  await Promise.all(all);
  return found;
}

/** The most that starts within any minute. */
function busiest(times: readonly number[]): number {
  return Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 60_000).length));
}

describe("caps per minute", () => {
  test.each([1, 7, 60, 1000, 6000])("%i requests in a minute, and hardly fewer", async (rpm) => {
    const count = Math.min(3 * rpm, 7000);
    const times = await starts(open({ concurrency: 1000, requestsPerMinute: rpm }), count);
    expect(busiest(times)).toBeLessThanOrEqual(rpm);
    expect((times.at(-1) ?? 0) / 60_000).toBeLessThan((count / rpm) * 1.05 + 0.1);
  });

  test("tokens count with their most, and what was not used is given back", async () => {
    const full = await starts(open({ tokensPerMinute: 6000 }), 30, { tokens: 300 });
    expect(busiest(full)).toBeLessThanOrEqual(21);
    const half = await starts(open({ tokensPerMinute: 6000 }), 30, { tokens: 300, used: 150 });
    expect((half.at(-1) ?? 0) / (full.at(-1) ?? 1)).toBeCloseTo(0.5, 1);
  });
});

describe("concurrency", () => {
  const take = (admission: Admission, n: number): Promise<Permit[]> =>
    Promise.all(Array.from({ length: n }, () => admission.acquire(0, undefined)));

  test("shrinks once for all requests that meet a 429, and grows by one a round", async () => {
    const admission = open({ concurrency: 8 });
    const permits = await take(admission, 8);
    await vi.advanceTimersByTimeAsync(10);
    for (const permit of permits) {
      admission.report(permit, quiet, true);
      permit.release();
    }
    expect(admission.limit).toBe(6);
    for (let round = 0; round < 2; round++) {
      const next = take(admission, admission.limit);
      await vi.advanceTimersByTimeAsync(1000);
      for (const permit of await next) {
        admission.report(permit, quiet, false);
        permit.release();
      }
    }
    expect(admission.limit).toBe(7);
    expect(admission.load).toBe(0);
  });

  test("never falls below one, and never rises above what was told", async () => {
    const admission = open({ concurrency: 2 });
    for (let i = 0; i < 20; i++) {
      const next = take(admission, 1);
      await vi.advanceTimersByTimeAsync(1000);
      const [permit] = await next;
      admission.report(permit as Permit, quiet, i < 10);
      (permit as Permit).release();
    }
    expect(admission.limit).toBe(2);
  });

  test.each([
    ["a 429 that says how long", { ...quiet, waitMs: 3000 }, true, 3000],
    ["a 429 that does not", quiet, true, 500],
    ["no requests left", { ...quiet, requests: { remaining: 0, resetMs: 2000 } }, false, 2000],
    ["too few tokens left", { ...quiet, tokens: { remaining: 50, resetMs: 4000 } }, false, 4000],
    ["enough tokens left", { ...quiet, tokens: { remaining: 100, resetMs: 4000 } }, false, 0],
    ["a wait beyond patience", { ...quiet, waitMs: 700_000 }, true, 0],
  ])("%s holds all back", async (_name, signals, limited, wait) => {
    const admission = open({ concurrency: 1 });
    const [permit] = await take(admission, 1);
    let started = -1;
    const begun = performance.now();
    void admission.acquire(100, undefined).then(() => (started = performance.now() - begun));
    admission.report(permit as Permit, signals, limited);
    (permit as Permit).release();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(started).toBe(wait);
  });

  test("who gives up waiting leaves the queue", async () => {
    const admission = open({ concurrency: 1 });
    const [permit] = await take(admission, 1);
    const controller = new AbortController();
    const waiting = admission.acquire(0, controller.signal);
    controller.abort("enough");
    await expect(waiting).rejects.toBe("enough");
    await expect(admission.acquire(0, controller.signal)).rejects.toBe("enough");
    (permit as Permit).release();
    expect(admission.load).toBe(0);
  });
});

test.each([
  ["20ms", 20],
  ["1s", 1000],
  ["6m0s", 360_000],
  ["1h2m3.5s", 3_723_500],
  ["12", 12_000],
  ["1763000010", 10_000],
  ["1763000010000", 10_000],
  ["soon", undefined],
  ["-3s", undefined],
])("a quota that is whole again in %s", (text, ms) => {
  const headers = new Headers({ "x-ratelimit-reset-tokens": text, "x-ratelimit-remaining-tokens": "7" });
  expect(readRateSignals(headers, 1_763_000_000_000).tokens).toEqual({ remaining: 7, resetMs: ms });
});
