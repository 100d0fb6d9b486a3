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
import { listModels, type Model, WireError } from "./wire.ts";

/** locked: the server wants an API key; away: it cannot be reached */
export type Server = "connecting" | "ready" | "locked" | "away";

export interface ChatState {
  readonly server: Server;
  readonly models: readonly Model[];
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

export class Chat {
  #state: ChatState;
  readonly #listeners = new Set<() => void>();
  readonly #keeper = new Keeper(() => this.#set({ problem: "This browser has no room left to keep conversations." }));
  /** conversations that are not shown while their answers come */
  readonly #aside = new Map<string, Conversation>();
  #running: Running | undefined;

  constructor() {
    this.#state = {
      server: "connecting",
      models: [],
      settings: loadSettings(),
      list: [],
      conversation: newConversation(crypto.randomUUID(), Date.now()),
      streaming: undefined,
      said: "",
      problem: "",
    };
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): ChatState => this.#state;

  /** Meets the server, and goes on with the conversation that the address names. */
  async start(): Promise<void> {
    addEventListener("pagehide", () => this.#leaveWords());
    addEventListener("hashchange", () => void this.open(location.hash.slice(1)));
    const connected = this.connect();
    await this.#list();
    if (location.hash.length > 1) await this.open(location.hash.slice(1));
    await connected;
  }

  /** Asks the server what it has; a key that it accepts is remembered. */
  async connect(key = loadKey()): Promise<void> {
    try {
      const models = await listModels({ key });
      saveKey(key);
      this.#set({ server: "ready", models, problem: "" });
    } catch (error) {
      const locked = error instanceof WireError && error.status === 401;
      this.#set({ server: locked ? "locked" : "away", problem: locked ? "" : messageOf(error) });
    }
  }

  /** The model that answers. */
  get model(): Model | undefined {
    const { models, settings } = this.#state;
    return models.find(({ id }) => id === settings.model) ?? models[0];
  }

  change(settings: Partial<Settings>): void {
    this.#set({ settings: { ...this.#state.settings, ...settings } });
    saveSettings(this.#state.settings);
  }

  /** Asks a question behind the last turn that is shown. */
  ask(text: string, pictures: readonly Picture[]): void {
    this.#ask(text, pictures, this.#state.conversation.leaf);
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
    this.#apply(this.#state.conversation.id, (conversation) => showBranch(conversation, turn));
  }

  begin(): void {
    this.#leave(newConversation(crypto.randomUUID(), Date.now()));
    history.replaceState(null, "", location.pathname + location.search);
  }

  async open(id: string): Promise<void> {
    if (id === this.#state.conversation.id) return;
    const found = this.#aside.get(id) ?? (await loadConversation(id));
    if (found === undefined) return;
    this.#leave(this.#running?.conversation === id ? found : endCutAnswers(withLeftWords(found)));
    this.#aside.delete(id);
    if (this.#running?.conversation !== id) this.#keeper.keep(this.#state.conversation);
    location.hash = id;
  }

  async remove(id: string): Promise<void> {
    if (this.#running?.conversation === id) this.stop();
    this.#aside.delete(id);
    this.#keeper.drop(id);
    await deleteConversation(id);
    if (this.#state.conversation.id === id) this.begin();
    await this.#list();
  }

  /** All conversations as the text of a file. */
  async exported(): Promise<string> {
    await this.#keeper.flush();
    return exportText(await loadConversations());
  }

  /** Takes in a file of conversations; one that is here already comes in as another. */
  async import(content: string): Promise<void> {
    try {
      const known = new Set(this.#state.list.map(({ id }) => id));
      const fresh = importText(content);
      for (const one of fresh) await saveConversation(known.has(one.id) ? { ...one, id: crypto.randomUUID() } : one);
      await this.#list();
      const said = `${fresh.length} ${fresh.length === 1 ? "conversation" : "conversations"} imported.`;
      this.#set({ said, problem: "" });
    } catch (error) {
      this.#set({ problem: messageOf(error) });
    }
  }

  report(problem: string): void {
    this.#set({ problem });
  }

  #ask(text: string, pictures: readonly Picture[], parent: string | null): void {
    const id = crypto.randomUUID();
    const question: Question = { id, parent, role: "user", text, pictures, created: Date.now() };
    const { conversation } = this.#state;
    this.#apply(conversation.id, (current) => addTurn(current, question));
    history.replaceState(null, "", `#${conversation.id}`);
    void this.#answer(id);
  }

  async #answer(question: string): Promise<void> {
    const model = this.model;
    if (this.#running !== undefined || model === undefined) return;
    const { conversation: shown, settings } = this.#state;
    const id = crypto.randomUUID();
    const answer: Answer = {
      ...{ id, parent: question, role: "assistant", text: "", created: Date.now() },
      ...{ state: "streaming", model: model.id },
    };
    const controller = new AbortController();
    this.#running = { conversation: shown.id, answer: id, controller };
    this.#set({ streaming: id, said: "Answering.", problem: "" });
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
    this.#set({ streaming: undefined, said: sayEnd(ended) });
    // is the server still there, and is the key still good?
    if (ended.state === "failed" || ended.state === "cut") await this.connect();
    await this.#list();
  }

  /** Changes a conversation wherever it is, and keeps it. */
  #apply(id: string, change: (conversation: Conversation) => Conversation): void {
    const shown = this.#state.conversation.id === id;
    const current = shown ? this.#state.conversation : this.#aside.get(id);
    // it was deleted
    if (current === undefined) return;
    const conversation = change(current);
    if (shown) this.#set({ conversation });
    else this.#aside.set(id, conversation);
    this.#keeper.keep(conversation);
  }

  /** Shows another conversation; the one before stays where its answer may go on. */
  #leave(next: Conversation): void {
    const { conversation } = this.#state;
    if (this.#running?.conversation === conversation.id) this.#aside.set(conversation.id, conversation);
    this.#set({ conversation: next, problem: "" });
  }

  #leaveWords(): void {
    if (this.#running === undefined) return;
    const { conversation, answer } = this.#running;
    const found = this.#aside.get(conversation) ?? this.#state.conversation;
    if (found.turns[answer]) leaveWords(found, answer);
  }

  async #list(): Promise<void> {
    this.#set({ list: await listConversations() });
  }

  #set(changes: Partial<ChatState>): void {
    this.#state = { ...this.#state, ...changes };
    for (const listener of this.#listeners) listener();
  }
}

function sayEnd({ state, text, problem }: Partial<Answer>): string {
  if (state === "stopped") return "Stopped.";
  if (state === "failed" || state === "cut") return `The answer failed. ${problem ?? ""}`;
  return `Answer: ${text ?? ""}`;
}
