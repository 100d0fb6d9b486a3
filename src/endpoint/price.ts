// What tokens cost: dollars per million from a dated table or from the user; sums are whole nanodollars.
import { readFileSync } from "node:fs";
import { z } from "zod";
import { InputError } from "../errors.ts";
import type { ChatRequest, Usage } from "./wire.ts";

/** Dollars per million tokens. */
export interface Price {
  readonly input: number;
  readonly output: number;
  /** of request tokens that the endpoint had in its cache; `input` unless known */
  readonly cached?: number | undefined;
  /** the share of the price that a batch costs; 1 unless known */
  readonly batch?: number | undefined;
}

export const free: Price = { input: 0, output: 0 };

const dollars = z.number().nonnegative().max(1e6);
const price = z.strictObject({
  input: dollars,
  output: dollars,
  cached: dollars.optional(),
  batch: z.number().positive().max(1).optional(),
});
const table = z.object({ date: z.string(), hosts: z.record(z.string(), z.record(z.string(), price)) });

/**
 * The price of a model at an address: what the user says ("free", or "0.15/0.60": dollars per million tokens of request
 * and answer, a third number for cached ones), else free on this machine, else the table's.
 *
 * @throws InputError `PRICE_INVALID`, and `PRICE_UNKNOWN` where nothing tells it
 */
export function priceOf(address: string, model: string, told?: string): Price {
  if (told !== undefined) return parsePrice(told);
  const { hostname } = new URL(address);
  if (isLocal(hostname)) return free;
  const { date, hosts } = table.parse(JSON.parse(readFileSync(new URL("./prices.json", import.meta.url), "utf8")));
  // dated snapshots cost what their model does
  const found = hosts[hostname]?.[model.replace(/-\d{4}-\d{2}-\d{2}$/, "")];
  if (found !== undefined) return found;
  throw new InputError("PRICE_UNKNOWN", {
    expected: `a price for ${model} at ${hostname}`,
    got: `none in the table of ${date}`,
    fix: "add --price IN/OUT in dollars per million tokens, e.g. --price 0.15/0.60, or --price free",
  });
}

function parsePrice(told: string): Price {
  if (told.trim() === "free") return free;
  const parts = told.split("/").map((part) => (/^\s*\d+(\.\d+)?\s*$/.test(part) ? Number(part) : Number.NaN));
  const [input, output, cached] = parts;
  const parsed = price.safeParse({ input, output, ...(cached === undefined ? {} : { cached }) });
  if (parsed.success && parts.length <= 3) return parsed.data;
  throw new InputError("PRICE_INVALID", {
    expected: '"free", or dollars per million tokens of request and answer, as 0.15/0.60',
    got: `"${told}"`,
    where: "--price",
  });
}

/** Addresses of this machine: nobody sends a bill for them, unless the user says otherwise. */
function isLocal(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}

/** What the same costs in a batch, as far as it is known. */
export function batchPrice({ input, output, cached = input, batch = 1 }: Price): Price {
  return { input: input * batch, output: output * batch, cached: cached * batch };
}

/** Nanodollars for the tokens of one answer, rounded up; `share` is 1, or what a batch costs of the price. */
export function costOf({ promptTokens, completionTokens, cachedTokens = 0 }: Usage, price: Price, share = 1): number {
  const cached = Math.min(cachedTokens, promptTokens);
  const thousandfold =
    (promptTokens - cached) * rate(price.input) +
    cached * rate(price.cached ?? price.input) +
    completionTokens * rate(price.output);
  return Math.ceil((thousandfold * share) / 1000);
}

/** Nanodollars for a thousand tokens: a whole number for every price of up to six decimals. */
function rate(dollarsPerMillion: number): number {
  return Math.round(dollarsPerMillion * 1e6);
}

/** More than chat templates put around a message, in tokens. */
const tokensPerMessage = 16;

/**
 * More than a picture of 512 pixels counts anywhere that we know: 2,833 at GPT-4o mini with low detail, the most of
 * OpenAI's models; 2,880 for LLaVA-NeXT's five tiles of 576.
 */
const tokensPerPicture = 3000;

/** The most tokens that a request can count: no tokenizer makes more tokens than bytes. */
export function mostTokens(request: ChatRequest): Usage {
  let promptTokens = tokensPerMessage;
  for (const { content, pictures = [] } of request.messages)
    promptTokens += Buffer.byteLength(content) + tokensPerMessage + pictures.length * tokensPerPicture;
  if (request.schema !== undefined) promptTokens += Buffer.byteLength(JSON.stringify(request.schema));
  return { promptTokens, completionTokens: request.maxTokens };
}

/** $12.35, $0.0042; a sum is never shown as less than it is. */
export function showMoney(nanodollars: number): string {
  const value = nanodollars / 1e9;
  if (value === 0) return "$0";
  const digits = value >= 1 ? 2 : Math.min(9, 1 - Math.floor(Math.log10(value)));
  return `$${(Math.ceil(value * 10 ** digits - 1e-6) / 10 ** digits).toFixed(digits)}`;
}
