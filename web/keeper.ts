// Keeps conversations while they change: soon, but not at every word.
import { changeAnswer, type Conversation } from "./conversation.ts";
import { saveConversation } from "./store.ts";

const waitMs = 300;

export class Keeper {
  readonly #pending = new Map<string, Conversation>();
  readonly #onFailure: (error: unknown) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
    // what is hidden may be ended at any time
    document.addEventListener("visibilitychange", () => void this.flush());
  }

  keep(conversation: Conversation): void {
    this.#pending.set(conversation.id, conversation);
    this.#timer ??= setTimeout(() => void this.flush(), waitMs);
  }

  /** What waits is written now. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    await Promise.all(waiting.map(saveConversation)).catch(this.#onFailure);
  }

  /** Nothing of a deleted conversation is written any more. */
  drop(id: string): void {
    this.#pending.delete(id);
  }
}

const leftAs = (conversation: string): string => `llava.left.${conversation}`;

/** Leaves an answer's words while the page goes: its database would not finish writing them. */
export function leaveWords({ id, turns }: Conversation, answer: string): void {
  try {
    localStorage.setItem(leftAs(id), JSON.stringify({ answer, text: turns[answer]!.text }));
  } catch {
    // no room: what was kept before is what there is
  }
}

/** A conversation with the words that were left of it. */
export function withLeftWords(conversation: Conversation): Conversation {
  const left = localStorage.getItem(leftAs(conversation.id));
  if (left === null) return conversation;
  localStorage.removeItem(leftAs(conversation.id));
  const { answer, text } = JSON.parse(left) as { readonly answer: string; readonly text: string };
  const kept = conversation.turns[answer]?.text;
  return kept !== undefined && kept.length < text.length ? changeAnswer(conversation, answer, { text }) : conversation;
}
