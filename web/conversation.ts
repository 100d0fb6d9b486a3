// A conversation as a tree of turns: every question asked anew and every answer made anew is a branch that stays.

/** A picture as it is shown and sent. */
export interface Picture {
  /** a data: URL of JPEG, PNG, WebP or GIF */
  readonly url: string;
  readonly name: string;
  readonly width: number;
  readonly height: number;
}

/** What an answer cost and how fast it came. */
export interface Cost {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly imageTokens: number;
  readonly answerTokens: number;
  /** until the first word */
  readonly firstMs: number;
  /** from the first word to the last */
  readonly restMs: number;
}

export type AnswerState =
  /** words are coming */
  | "streaming"
  | "complete"
  /** the longest answer that was allowed */
  | "length"
  /** stopped by hand */
  | "stopped"
  /** the page or the line went away in mid-answer */
  | "cut"
  | "failed";

interface TurnBase {
  readonly id: string;
  /** the turn before it; null for first ones */
  readonly parent: string | null;
  readonly text: string;
  /** milliseconds since 1970 */
  readonly created: number;
}

export interface Question extends TurnBase {
  readonly role: "user";
  readonly pictures: readonly Picture[];
}

export interface Answer extends TurnBase {
  readonly role: "assistant";
  readonly state: AnswerState;
  readonly model: string;
  readonly cost?: Cost | undefined;
  /** why it failed */
  readonly problem?: string | undefined;
}

export type Turn = Question | Answer;

export interface Conversation {
  readonly id: string;
  readonly title: string;
  readonly created: number;
  readonly updated: number;
  readonly turns: Readonly<Record<string, Turn>>;
  /** the last turn of the branch that is shown */
  readonly leaf: string | null;
}

export function newConversation(id: string, now: number): Conversation {
  return { id, title: "New conversation", created: now, updated: now, turns: {}, leaf: null };
}

/** The turns from the first one to `leaf`. */
export function pathTo({ turns }: Conversation, leaf: string | null): Turn[] {
  const path: Turn[] = [];
  for (let at = leaf; at !== null; at = path[0]!.parent) path.unshift(turns[at]!);
  return path;
}

/** Turns that stand in for each other, a turn among them, oldest first. */
export function siblings({ turns }: Conversation, { parent }: Turn): Turn[] {
  return Object.values(turns)
    .filter((turn) => turn.parent === parent)
    .sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
}

/** Adds a turn and shows it. The first question names the conversation. */
export function addTurn(conversation: Conversation, turn: Turn): Conversation {
  const first = Object.keys(conversation.turns).length === 0;
  return {
    ...conversation,
    title: first ? titleOf(turn) : conversation.title,
    updated: turn.created,
    turns: { ...conversation.turns, [turn.id]: turn },
    leaf: turn.id,
  };
}

export function changeAnswer(conversation: Conversation, id: string, changes: Partial<Answer>): Conversation {
  const turn = conversation.turns[id];
  if (turn?.role !== "assistant") return conversation;
  return { ...conversation, turns: { ...conversation.turns, [id]: { ...turn, ...changes } } };
}

/** Shows the branch through a turn, as it was left: down the newest turn after it, and so on. */
export function showBranch(conversation: Conversation, through: string): Conversation {
  let leaf = through;
  for (;;) {
    const next = Object.values(conversation.turns)
      .filter(({ parent }) => parent === leaf)
      .sort((a, b) => b.created - a.created)[0];
    if (next === undefined) return { ...conversation, leaf };
    leaf = next.id;
  }
}

/** Answers whose words can come no more, as the page that received them is gone. */
export function endCutAnswers(conversation: Conversation): Conversation {
  const cut = Object.values(conversation.turns).filter(
    (turn) => turn.role === "assistant" && turn.state === "streaming",
  );
  return cut.reduce((changed, { id }) => changeAnswer(changed, id, { state: "cut" }), conversation);
}

const titleLength = 60;

function titleOf({ text }: Turn): string {
  const line = text.trim().split("\n")[0]!;
  if (line === "") return "About a picture";
  return line.length <= titleLength ? line : `${line.slice(0, titleLength - 1).trimEnd()}…`;
}
