// The program: its verbs, its help, and how it refuses what it does not know.
import { readFileSync } from "node:fs";
import { Command } from "commander";

/** The verbs in the order of the help. Each is loaded when it is called: what it needs may take a while. */
const verbs: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  teach: async () => (await import("./teach.ts")).addTeach,
  data: async () => (await import("./data.ts")).addData,
  train: async () => (await import("./train.ts")).addTrain,
  report: async () => (await import("./report.ts")).addReport,
  chat: async () => (await import("./chat.ts")).addChat,
  serve: async () => (await import("./serve.ts")).addServe,
  parity: async () => (await import("./parity.ts")).addParity,
  eval: async () => (await import("./eval.ts")).addEval,
  quickstart: async () => (await import("./quickstart.ts")).addQuickstart,
  merge: async () => (await import("./merge.ts")).addMerge,
  export: async () => (await import("./export.ts")).addExport,
  pull: async () => (await import("./pull.ts")).addPull,
  import: async () => (await import("./import.ts")).addImport,
  job: async () => (await import("./job.ts")).addJob,
  inspect: async () => (await import("./inspect.ts")).addInspect,
};

/** The command line with one verb, or with all of them. Usage errors are thrown as CommanderError, the caller writes them. */
export async function createProgram(verb?: string): Promise<Command> {
  const program = new Command("llava");
  program
    .description("Teach a language model to see: pictures and captions in, a model that answers out.")
    .version(readVersion(), "-v, --version")
    .showSuggestionAfterError()
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  const known = verb !== undefined && Object.hasOwn(verbs, verb);
  const needless = verb === "--version" || verb === "-v";
  for (const [name, load] of Object.entries(verbs)) {
    if (known ? name === verb : !needless) (await load())(program);
  }
  return program;
}

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return version;
}
