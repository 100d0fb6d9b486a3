// What a reply's headers say about limits: how long to wait, and what is left of requests and tokens.
import type { ReplyHeaders } from "./transport.ts";

/** What the endpoint told about its limits with one reply. */
export interface RateSignals {
  /** milliseconds to wait, of a reply that asks for it */
  readonly waitMs?: number | undefined;
  readonly requests: Quota;
  readonly tokens: Quota;
}

interface Quota {
  readonly remaining?: number | undefined;
  /** milliseconds until the quota is whole again */
  readonly resetMs?: number | undefined;
}

/** Reads `retry-after-ms`, `retry-after` and `x-ratelimit-{remaining,reset}-{requests,tokens}`. */
export function readRateSignals(headers: ReplyHeaders, now: number = Date.now()): RateSignals {
  const quota = (what: "requests" | "tokens"): Quota => ({
    remaining: whole(headers.get(`x-ratelimit-remaining-${what}`)),
    resetMs: duration(headers.get(`x-ratelimit-reset-${what}`), now),
  });
  return { waitMs: retryAfter(headers, now), requests: quota("requests"), tokens: quota("tokens") };
}

/** Milliseconds to wait from `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, §10.2.3). */
export function retryAfter(headers: ReplyHeaders, now: number = Date.now()): number | undefined {
  const milliseconds = Number.parseFloat(headers.get("retry-after-ms") ?? "");
  if (milliseconds >= 0) return milliseconds;
  const value = headers.get("retry-after")?.trim();
  if (value === undefined || value === "") return undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function whole(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined;
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Larger numbers are seconds or milliseconds since 1970, which some gateways send instead of a duration. */
const epochSeconds = 1e9;
const epochMilliseconds = 1e12;

/** "20ms", "1m30.5s", "12" (seconds), or the moment itself. */
function duration(text: string | null, now: number): number | undefined {
  const value = text?.trim() ?? "";
  if (/^\d+(\.\d+)?$/.test(value)) {
    const number = Number(value);
    if (number >= epochMilliseconds) return Math.max(0, number - now);
    return number >= epochSeconds ? Math.max(0, number * 1000 - now) : number * 1000;
  }
  if (!/^(\d+(\.\d+)?(ms|[smhd]))+$/.test(value)) return undefined;
  let sum = 0;
  for (const [, count, , unit] of value.matchAll(/(\d+(\.\d+)?)(ms|[smhd])/g)) {
    sum += Number(count) * (units[unit ?? ""] ?? 0);
  }
  return sum;
}
