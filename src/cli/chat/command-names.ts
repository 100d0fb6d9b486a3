// The commands of a chat: how each is written, and what it does.

interface CommandName {
  readonly usage: string;
  readonly help: string;
  /** takes a path */
  readonly path?: boolean;
}

const commands = {
  "/image": { usage: "/image PATH …", help: "show pictures with the next question", path: true },
  "/retry": { usage: "/retry", help: "ask the last question anew, with another seed" },
  "/clear": { usage: "/clear", help: "forget the conversation" },
  "/system": { usage: "/system TEXT", help: "what leads the conversation; off: nothing" },
  "/set": { usage: "/set NAME VALUE", help: "how answers are drawn; alone: every setting" },
  "/stats": { usage: "/stats", help: "speed and tokens of the last answer" },
  "/save": { usage: "/save FILE", help: "keep the conversation, as a sample of LLaVA's JSON", path: true },
  "/load": { usage: "/load FILE", help: "go on with a conversation that was kept", path: true },
  "/help": { usage: "/help", help: "this list" },
  "/exit": { usage: "/exit", help: "leave (also Ctrl-D)" },
} as const satisfies Readonly<Record<string, CommandName>>;

export type ChatCommand = keyof typeof commands;

export const commandNames = Object.keys(commands) as ChatCommand[];

/** Commands that take a path. */
export const pathCommands: ReadonlySet<string> = new Set(
  commandNames.filter((name) => (commands[name] as CommandName).path),
);

/** The command that a line begins with; `/quit` is `/exit`. */
export function commandOf(line: string): ChatCommand | undefined {
  const name = /^\/[a-z]+(?=\s|$)/.exec(line)?.[0];
  return name === "/quit" ? "/exit" : commandNames.find((each) => each === name);
}

/** What `/help` says. */
export function commandHelp(): string {
  const width = Math.max(...commandNames.map((name) => commands[name].usage.length));
  const lines = commandNames.map((name) => `  ${commands[name].usage.padEnd(width)}  ${commands[name].help}`);
  return [
    "Ask anything; each answer knows what was said before.",
    "A path, typed or dropped here, shows a picture.",
    ...lines,
    "Ctrl-C stops an answer, a second one leaves.",
    "Arrow keys bring back what was asked, Tab completes.",
  ].join("\n");
}
