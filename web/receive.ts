// Receives one answer to its end, however it ends, and measures how it came.
import type { Answer, Turn } from "./conversation.ts";
import { loadKey, type Settings } from "./settings.ts";
import { streamAnswer, WireError } from "./wire.ts";

/** Words are shown at most this often. */
const showMs = 40;

interface Receive {
  readonly model: string;
  readonly settings: Settings;
  readonly signal: AbortSignal;
  readonly onText: (text: string) => void;
  /** told when the server has no room for this answer */
  readonly onBusy?: () => void;
}

/** Asks for an answer to the last turn; what became of it, never an error. */
export async function receive(
  turns: readonly Turn[],
  { model, settings, signal, onText, onBusy }: Receive,
): Promise<Partial<Answer>> {
  const started = performance.now();
  let [text, first] = ["", 0];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = (): void => {
    timer = undefined;
    onText(text);
  };
  try {
    const { reason, usage } = await streamAnswer(turns, { model, settings }, { key: loadKey(), signal }, (more) => {
      first ||= performance.now();
      text += more;
      timer ??= setTimeout(show, showMs);
    });
    const cost = usage && {
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
      imageTokens: usage.prompt_tokens_details?.image_tokens ?? 0,
      answerTokens: usage.completion_tokens,
      firstMs: (first || performance.now()) - started,
      restMs: first === 0 ? 0 : performance.now() - first,
    };
    return { text, state: reason === "length" ? "length" : "complete", cost };
  } catch (error) {
    if (signal.aborted) return { text, state: "stopped" };
    if (error instanceof WireError && error.status === 429) onBusy?.();
    return { text, state: text === "" ? "failed" : "cut", problem: messageOf(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** What went wrong, as a sentence. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.charAt(0).toUpperCase() + error.message.slice(1) : String(error);
}
