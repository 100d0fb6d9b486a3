// The page's state and everything that changes it; components only show it.
import {
  addTurn,
  type Answer,
  changeAnswer,
  type Conversation,
  endCutAnswers,
  newConversation,
  pathTo,
  type Picture,
  type Question,
  showBranch,
} from "./conversation.ts";
import { Keeper, leaveWords, withLeftWords } from "./keeper.ts";
import { messageOf, receive } from "./receive.ts";
import { loadKey, loadSettings, saveKey, saveSettings, type Settings } from "./settings.ts";
import {
  deleteConversation,
  listConversations,
  loadConversation,
  loadConversations,
  saveConversation,
  type Summary,
} from "./store.ts";
import { exportText, importText } from "./transfer.ts";
import { Watched } from "./watched.ts";
import { listModels, type Model, WireError } from "./wire.ts";

/** locked: the server wants an API key; away: it cannot be reached */
export type Server = "connecting" | "ready" | "locked" | "away";

export interface ChatState {
  readonly server: Server;
  readonly models: readonly Model[];
  /** the server takes votes */
  readonly votes: boolean;
  /** two answers side by side are shown in the place of a conversation */
  readonly arena: boolean;
  readonly settings: Settings;
  readonly list: readonly Summary[];
  readonly conversation: Conversation;
  /** the answer whose words are coming, in whichever conversation */
  readonly streaming: string | undefined;
  /** said to those who listen rather than look */
  readonly said: string;
  /** something went wrong that belongs to no answer */
  readonly problem: string;
}

interface Running {
  readonly conversation: string;
  readonly answer: string;
  readonly controller: AbortController;
}

/** The address of the arena, where conversations have their names. */
export const arenaName = "arena";

export class Chat extends Watched<ChatState> {
  readonly #keeper = new Keeper(() => this.set({ problem: "This browser has no room left to keep conversations." }));
  /** conversations that are not shown while their answers come */
  readonly #aside = new Map<string, Conversation>();
  #running: Running | undefined;

  constructor() {
    super({
      server: "connecting",
      models: [],
      votes: false,
      arena: false,
      settings: loadSettings(),
      list: [],
      conversation: newConversation(crypto.randomUUID(), Date.now()),
      streaming: undefined,
      said: "",
      problem: "",
    });
  }

  /** Meets the server, and goes on with the conversation that the address names. */
  async start(): Promise<void> {
    addEventListener("pagehide", () => this.#leaveWords());
    addEventListener("hashchange", () => void this.open(location.hash.slice(1)));
    const connected = this.connect();
    await this.list();
    if (location.hash.length > 1) await this.open(location.hash.slice(1));
    await connected;
  }

  /** Asks the server what it has; a key that it accepts is remembered. */
  async connect(key = loadKey()): Promise<void> {
    try {
      const { models, votes } = await listModels({ key });
      saveKey(key);
      this.set({ server: "ready", models, votes, problem: "" });
    } catch (error) {
      const locked = error instanceof WireError && error.status === 401;
      this.set({ server: locked ? "locked" : "away", problem: locked ? "" : messageOf(error) });
    }
  }

  /** The model that answers. */
  get model(): Model | undefined {
    const { models, settings } = this.snapshot();
    return models.find(({ id }) => id === settings.model) ?? models[0];
  }

  change(settings: Partial<Settings>): void {
    this.set({ settings: { ...this.snapshot().settings, ...settings } });
    saveSettings(this.snapshot().settings);
  }

  /** Asks a question behind the last turn that is shown; false where that cannot be now. */
  ask(text: string, pictures: readonly Picture[]): boolean {
    const { server, streaming, conversation } = this.snapshot();
    if (server !== "ready" || streaming !== undefined) return false;
    this.#ask(text, pictures, conversation.leaf);
    return true;
  }

  /** Asks another question in the place of one; both stay. */
  askInstead(question: Question, text: string): void {
    this.#ask(text, question.pictures, question.parent);
  }

  /** Answers a question once more; all answers stay. */
  answerAgain(question: string): void {
    void this.#answer(question);
  }

  /** Ends the answer under way where it is. */
  stop(): void {
    this.#running?.controller.abort();
  }

  /** Shows another branch. */
  show(turn: string): void {
    this.#apply(this.snapshot().conversation.id, (conversation) => showBranch(conversation, turn));
  }

  begin(): void {
    this.#leave(newConversation(crypto.randomUUID(), Date.now()));
    history.replaceState(null, "", location.pathname + location.search);
  }

  /** Shows a conversation, or the arena. */
  async open(id: string): Promise<void> {
    if (id === arenaName || id === this.snapshot().conversation.id) return this.set({ arena: id === arenaName });
    const found = this.#aside.get(id) ?? (await loadConversation(id));
    if (found === undefined) return;
    this.#leave(this.#running?.conversation === id ? found : endCutAnswers(withLeftWords(found)));
    this.#aside.delete(id);
    if (this.#running?.conversation !== id) this.#keeper.keep(this.snapshot().conversation);
    location.hash = id;
  }

  async remove(id: string): Promise<void> {
    if (this.#running?.conversation === id) this.stop();
    this.#aside.delete(id);
    this.#keeper.drop(id);
    await deleteConversation(id);
    if (this.snapshot().conversation.id === id) this.begin();
    await this.list();
  }

  /** All conversations as the text of a file. */
  async exported(): Promise<string> {
    await this.#keeper.flush();
    return exportText(await loadConversations());
  }

  /** Takes in a file of conversations; one that is here already comes in as another. */
  async import(content: string): Promise<void> {
    try {
      const known = new Set(this.snapshot().list.map(({ id }) => id));
      const fresh = importText(content);
      for (const one of fresh) await saveConversation(known.has(one.id) ? { ...one, id: crypto.randomUUID() } : one);
      await this.list();
      const said = `${fresh.length} ${fresh.length === 1 ? "conversation" : "conversations"} imported.`;
      this.set({ said, problem: "" });
    } catch (error) {
      this.set({ problem: messageOf(error) });
    }
  }

  report(problem: string): void {
    this.set({ problem });
  }

  #ask(text: string, pictures: readonly Picture[], parent: string | null): void {
    const id = crypto.randomUUID();
    const question: Question = { id, parent, role: "user", text, pictures, created: Date.now() };
    const { conversation } = this.snapshot();
    this.#apply(conversation.id, (current) => addTurn(current, question));
    history.replaceState(null, "", `#${conversation.id}`);
    void this.#answer(id);
  }

  async #answer(question: string): Promise<void> {
    const model = this.model;
    if (this.#running !== undefined || model === undefined) return;
    const { conversation: shown, settings } = this.snapshot();
    const id = crypto.randomUUID();
    const answer: Answer = {
      ...{ id, parent: question, role: "assistant", text: "", created: Date.now() },
      ...{ state: "streaming", model: model.id },
    };
    const controller = new AbortController();
    this.#running = { conversation: shown.id, answer: id, controller };
    this.set({ streaming: id, said: "Answering.", problem: "" });
    this.#apply(shown.id, (current) => addTurn(current, answer));
    // what was asked is kept before anything can go wrong with its answer
    await this.#keeper.flush();
    const ended = await receive(pathTo(shown, question), {
      ...{ model: model.id, settings, signal: controller.signal },
      onText: (text) => this.#apply(shown.id, (current) => changeAnswer(current, id, { text })),
    });
    this.#running = undefined;
    this.#apply(shown.id, (current) => changeAnswer(current, id, ended));
    this.#aside.delete(shown.id);
    await this.#keeper.flush();
    this.set({ streaming: undefined, said: sayEnd(ended) });
    // is the server still there, and is the key still good?
    if (ended.state === "failed" || ended.state === "cut") await this.connect();
    await this.list();
  }

  /** Changes a conversation wherever it is, and keeps it. */
  #apply(id: string, change: (conversation: Conversation) => Conversation): void {
    const shown = this.snapshot().conversation.id === id;
    const current = shown ? this.snapshot().conversation : this.#aside.get(id);
    // it was deleted
    if (current === undefined) return;
    const conversation = change(current);
    if (shown) this.set({ conversation });
    else this.#aside.set(id, conversation);
    this.#keeper.keep(conversation);
  }

  /** Shows another conversation; the one before stays where its answer may go on. */
  #leave(next: Conversation): void {
    const { conversation } = this.snapshot();
    if (this.#running?.conversation === conversation.id) this.#aside.set(conversation.id, conversation);
    this.set({ conversation: next, arena: false, problem: "" });
  }

  #leaveWords(): void {
    if (this.#running === undefined) return;
    const { conversation, answer } = this.#running;
    const found = this.#aside.get(conversation) ?? this.snapshot().conversation;
    if (found.turns[answer]) leaveWords(found, answer);
  }

  /** Reads anew which conversations there are. */
  async list(): Promise<void> {
    this.set({ list: await listConversations() });
  }
}

function sayEnd({ state, text, problem }: Partial<Answer>): string {
  if (state === "stopped") return "Stopped.";
  if (state === "failed" || state === "cut") return `The answer failed. ${problem ?? ""}`;
  return `Answer: ${text ?? ""}`;
}
