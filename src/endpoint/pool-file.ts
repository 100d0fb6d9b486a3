// Several endpoints told by a YAML file: where each is, what it may do at once, and what it costs.
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { InputError } from "../errors.ts";
import { readTextFile } from "../formats/node.ts";
import { openEndpoint } from "./endpoint.ts";
import { keyFrom } from "./key.ts";
import type { Member } from "./pool.ts";
import { priceOf } from "./price.ts";

const count = z.number().int().positive();
const poolFile = z.strictObject({
  model: z.string().min(1),
  endpoints: z
    .array(
      z.strictObject({
        url: z.string(),
        weight: z.number().positive().max(1e6).default(1),
        model: z.string().min(1).optional(),
        key_env: z.string().min(1).optional(),
        concurrency: count.max(1024).default(8),
        rpm: count.optional(),
        tpm: count.optional(),
        price: z.string().optional(),
      }),
    )
    .min(1),
});

export interface Pool {
  /** the name that requests are kept under; each endpoint may call it its own way */
  readonly model: string;
  readonly members: readonly Member[];
}

const largest = 100_000;

/**
 * Reads a pool: `model`, and `endpoints` with `url`, `weight`, `model`, `key_env`, `concurrency`, `rpm`, `tpm`, `price`.
 *
 * @throws InputError `POOL_INVALID` naming the field, what `openEndpoint`, `keyFrom` and `priceOf` throw
 */
export async function readPool(path: string): Promise<Pool> {
  const parsed = poolFile.safeParse(parse(await readTextFile(path, { maxBytes: largest }), path));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(issue?.path.join(".") || "a list of endpoints", issue?.message ?? "something else", path);
  }
  const { model, endpoints } = parsed.data;
  const members = endpoints.map(({ url, weight, key_env, concurrency, rpm, tpm, ...rest }): Member => {
    const key = keyFrom(key_env);
    const endpoint = openEndpoint({
      baseUrl: url,
      concurrency,
      price: priceOf(url, rest.model ?? model, rest.price),
      ...(key === undefined ? {} : { key }),
      ...(rpm === undefined ? {} : { requestsPerMinute: rpm }),
      ...(tpm === undefined ? {} : { tokensPerMinute: tpm }),
      ...(rest.model === undefined ? {} : { model: rest.model }),
    });
    return { endpoint, weight };
  });
  return { model, members };
}

function parse(text: string, path: string): unknown {
  try {
    return parseYaml(text) as unknown;
  } catch (cause) {
    throw invalid("YAML", cause instanceof Error ? (cause.message.split("\n")[0] as string) : "something else", path);
  }
}

function invalid(expected: string, got: string, where: string): InputError {
  return new InputError("POOL_INVALID", { expected, got, where });
}
