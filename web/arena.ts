// The arena: one question to two contenders at once, and which of the two answers the reader finds better.
import type { Chat } from "./chat.ts";
import { loadPairing, type Pairing, savePairing, withModels } from "./contenders.ts";
import { addTurn, type Answer, newConversation, type Picture, type Question } from "./conversation.ts";
import { messageOf, receive } from "./receive.ts";
import { loadKey, type Settings } from "./settings.ts";
import { saveConversation } from "./store.ts";
import { Watched } from "./watched.ts";
import { sendVote, type Vote } from "./wire.ts";

/** A stands at the left, or first. */
export type Side = "a" | "b";
export const sides: readonly Side[] = ["a", "b"];

/** One of two answers, and who was asked for it. */
export interface Standing {
  readonly settings: Settings;
  readonly answer: Answer;
}

export interface Round extends Readonly<Record<Side, Standing>> {
  /** of the conversation that it becomes */
  readonly id: string;
  readonly question: Question;
  /** the names were hidden until they were asked for */
  readonly blind: boolean;
  /** the names are told */
  readonly shown: boolean;
  /** the vote that the server has */
  readonly vote?: Vote;
}

export interface ArenaState {
  readonly pairing: Pairing;
  readonly round: Round | undefined;
  /** a vote is on its way */
  readonly voting: boolean;
  /** said to those who listen rather than look */
  readonly said: string;
  readonly problem: string;
}

/** Whether words are coming. */
export function isRunning(round: Round | undefined): boolean {
  return round !== undefined && sides.some((side) => round[side].answer.state === "streaming");
}

/** Whether there are two whole answers: half of one cannot be judged. */
export function isWhole(round: Round): boolean {
  return sides.every((side) => ["complete", "length"].includes(round[side].answer.state));
}

export class Arena extends Watched<ArenaState> {
  readonly #chat: Chat;
  #controller = new AbortController();
  /** the round that is among the conversations, where it may have been gone on with since */
  #kept: string | undefined;

  constructor(chat: Chat) {
    super({ pairing: loadPairing(), round: undefined, voting: false, said: "", problem: "" });
    this.#chat = chat;
  }

  /** Who is asked next, with models that there are. */
  get pairing(): Pairing {
    return withModels(this.snapshot().pairing, this.#chat.snapshot().models);
  }

  change(changes: Partial<Pairing>): void {
    this.set({ pairing: { ...this.pairing, ...changes } });
    savePairing(this.snapshot().pairing);
  }

  report(problem: string): void {
    this.set({ problem });
  }

  /** Asks both; false where that cannot be now. Who stands where is left to chance in a blind round. */
  ask(text: string, pictures: readonly Picture[]): boolean {
    const { server, models } = this.#chat.snapshot();
    if (server !== "ready" || models.length === 0 || isRunning(this.snapshot().round)) return false;
    const { first, second, blind } = this.pairing;
    const question: Question = {
      ...{ id: crypto.randomUUID(), parent: null, role: "user", text, pictures, created: Date.now() },
    };
    const turned = blind && crypto.getRandomValues(new Uint8Array(1))[0]! % 2 === 1;
    const [a, b] = (turned ? [second, first] : [first, second]).map((settings, i) => ({
      settings,
      answer: beginAnswer(question, settings, i),
    })) as [Standing, Standing];
    const round: Round = { id: crypto.randomUUID(), question, a, b, blind, shown: !blind };
    this.set({ round, said: "Both are answering.", problem: "" });
    void this.#answer(round);
    return true;
  }

  /** Asks the same once more. */
  again(): void {
    const { round } = this.snapshot();
    if (round) this.ask(round.question.text, round.question.pictures);
  }

  stop(): void {
    this.#controller.abort();
  }

  /** Tells the names without a vote. */
  async reveal(): Promise<void> {
    await this.#show({});
  }

  /** Gives the vote to the server; the names are told once it is kept. */
  async vote(vote: Vote): Promise<void> {
    const { round, voting } = this.snapshot();
    if (!round || voting || round.vote !== undefined || !isWhole(round)) return;
    const told = ({ settings, answer }: Standing) => ({ settings, text: answer.text });
    // names that were shown before cannot be unseen
    const blind = round.blind && !round.shown;
    this.set({ voting: true, problem: "" });
    try {
      await sendVote({ vote, blind, question: round.question, a: told(round.a), b: told(round.b) }, { key: loadKey() });
      await this.#show({ vote });
    } catch (error) {
      this.set({ problem: `The vote was not kept. ${messageOf(error)}` });
    } finally {
      this.set({ voting: false });
    }
  }

  /** Goes on with one of the answers as a conversation. */
  async goOn(side: Side): Promise<void> {
    const { round } = this.snapshot();
    if (!round) return;
    await this.#chat.open(round.id);
    this.#chat.show(round[side].answer.id);
    this.#chat.change({ ...round[side].settings, theme: this.#chat.snapshot().settings.theme });
  }

  async #answer(round: Round): Promise<void> {
    this.#controller = new AbortController();
    const late = new Set<Side>();
    await Promise.all(sides.map((side) => this.#receive(round, side, () => late.add(side))));
    // a server with room for one alone turned the other away: now there is room
    for (const side of late) if (!this.#controller.signal.aborted) await this.#receive(round, side);
    const { round: ended } = this.snapshot();
    const whole = ended !== undefined && isWhole(ended);
    this.set({ said: whole ? "Both answers are there. Which is better?" : "There are no two whole answers." });
    if (ended?.shown) await this.#show({});
    if (ended && sides.some((side) => ["failed", "cut"].includes(ended[side].answer.state))) await this.#chat.connect();
  }

  async #receive(round: Round, side: Side, onBusy?: () => void): Promise<void> {
    const { settings } = round[side];
    let waits = false;
    const ended = await receive([round.question], {
      ...{ model: settings.model, settings, signal: this.#controller.signal },
      onText: (text) => this.#change(side, { text }),
      ...(onBusy && { onBusy: () => ((waits = true), onBusy()) }),
    });
    if (!waits) this.#change(side, ended);
  }

  #change(side: Side, changes: Partial<Answer>): void {
    const { round } = this.snapshot();
    const standing = round![side];
    this.set({ round: { ...round!, [side]: { ...standing, answer: { ...standing.answer, ...changes } } } });
  }

  /** Tells the names, and keeps the round among the conversations: both answers as versions of one. */
  async #show(changes: Partial<Round>): Promise<void> {
    const round: Round = { ...this.snapshot().round!, ...changes, shown: true };
    const names = sides.map((side) => `${side.toUpperCase()} is ${round[side].settings.model}.`).join(" ");
    this.set({ round, said: `${changes.vote === undefined ? "" : "Thank you. "}${names}` });
    if (this.#kept === round.id) return;
    this.#kept = round.id;
    const begun = newConversation(round.id, round.question.created);
    await saveConversation([round.question, round.b.answer, round.a.answer].reduce(addTurn, begun));
    await this.#chat.list();
  }
}

function beginAnswer(question: Question, { model }: Settings, place: number): Answer {
  const [id, created] = [crypto.randomUUID(), question.created + 1 + place];
  return { id, parent: question.id, role: "assistant", text: "", created, state: "streaming", model };
}
