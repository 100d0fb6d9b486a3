// Speed and tokens of an answer.
import type { Answer } from "../../generate/assistant.ts";

export interface AnswerStats {
  /** pictures expanded */
  readonly promptTokens: number;
  readonly tokens: number;
  /** from the question to the first token; undefined when there was none */
  readonly firstSeconds: number | undefined;
  /** tokens a second, the first left out: it takes the prompt with it */
  readonly rate: number | undefined;
}

export interface AnswerClock {
  /** A token was chosen. */
  readonly tick: () => void;
  stop(answer: Pick<Answer, "prompt_tokens" | "completion_tokens">): AnswerStats;
}

/** Starts at a question. */
export function startClock(now: () => number = () => performance.now()): AnswerClock {
  const started = now();
  let [first, last]: [number | undefined, number] = [undefined, started];
  return {
    tick: () => {
      last = now();
      first ??= last;
    },
    stop: ({ prompt_tokens: promptTokens, completion_tokens: tokens }) => ({
      promptTokens,
      tokens,
      firstSeconds: first === undefined ? undefined : (first - started) / 1000,
      rate: first === undefined || last === first ? undefined : ((tokens - 1) * 1000) / (last - first),
    }),
  };
}

/** 42 tokens at 31.2 a second, the first after 0.21 s; prompt 61 tokens */
export function showStats({ promptTokens, tokens, firstSeconds, rate }: AnswerStats): string {
  const speed = rate === undefined ? "" : ` at ${rate >= 100 ? rate.toFixed(0) : rate.toPrecision(3)} a second`;
  const first = firstSeconds === undefined ? "" : `, the first after ${firstSeconds.toFixed(2)} s`;
  return `${tokens} ${tokens === 1 ? "token" : "tokens"}${speed}${first}; prompt ${promptTokens} tokens`;
}
