// `llava serve`: an OpenAI-compatible server of one or several models.
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import type { WeightForm } from "../generate/block-files-node.ts";
import { openAssistants } from "../generate/node.ts";
import type { Engine } from "../runtime/engine.ts";
import { createEngine } from "../runtime/node.ts";
import type { RequestLog } from "../serve/app.ts";
import { defaultServeLimits as defaults } from "../serve/limits.ts";
import { type NamedPath, namedPaths, type ServedModel } from "../serve/models.ts";
import { serve, type ServeOptions } from "../serve/server.ts";
import { openVotes } from "../serve/votes.ts";
import { describeFailure } from "./failure.ts";
import { interruptible } from "./interrupt.ts";
import { addVerb, collect, weightsOption, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";
import { log, startProgress } from "./progress.ts";

interface Options {
  readonly host: string;
  readonly port: number;
  readonly keyFile?: string;
  readonly keyEnv?: string;
  readonly withoutKeys?: boolean;
  readonly allowedHost?: readonly string[];
  readonly allowedOrigin?: readonly string[];
  readonly pictureHost?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly parallel: number;
  readonly queue: number;
  readonly maxNewTokens: number;
  readonly template?: string;
  readonly adapter?: readonly string[];
  readonly weights: WeightForm;
  readonly threads?: number;
  readonly votes?: string;
  readonly voteConversations?: boolean;
  readonly logPrompts?: boolean;
  readonly json?: boolean;
}

export function addServe(program: Command): void {
  addVerb(program, "serve <model...>", "serve models to every OpenAI client; MODEL is a folder, or NAME=FOLDER")
    .option("--host <address>", "address to listen at", "127.0.0.1")
    .option("--port <n>", "port to listen at; 0: any that is free", wholeNumber(0, 65_535), 8080)
    .option("--key-file <file>", "API keys, one a line; requests must carry one of them")
    .option("--key-env <name>", "an environment variable that holds an API key")
    .option("--without-keys", "let everyone in who reaches an address that is not loopback")
    .option("--allowed-host <name>", "a name that the server is reached by (repeatable)", collect)
    .option("--allowed-origin <origin>", "web pages of this origin may use the server (repeatable)", collect)
    .option("--picture-host <host>", "fetch pictures from this host; *: from all public ones (repeatable)", collect)
    .option("--tls-cert <file>", "certificate chain in PEM: serve https")
    .option("--tls-key <file>", "the certificate's key in PEM")
    .option("--parallel <n>", "answers computed side by side", wholeNumber(1, 256), defaults.parallel)
    .option("--queue <n>", "requests that may wait for their turn", wholeNumber(0, 100_000), defaults.queue)
    .option(
      "--max-new-tokens <n>",
      "the longest answer to requests that name no length",
      wholeNumber(1),
      defaults.newTokens,
    )
    .option("--template <name>", "how conversations are written (default: as each model was trained)")
    .option("--adapter <name=folder>", "the model with this LoRA adapter, served beside it (repeatable)", collect)
    .addOption(weightsOption())
    .option("--threads <n>", "threads to compute with (default: the physical cores)", wholeNumber(1, 1024))
    .option("--votes <file>", "take votes between two answers (the page's arena) and add them there as JSON lines")
    .option("--vote-conversations", "write what was asked and answered beside each vote, pictures too")
    .option("--log-prompts", "log what is asked, too")
    .option("--json", "print the address as JSON when it is ready")
    .action((words: string[], options: Options) => serveModels(words, options, program.version()));
}

async function serveModels(words: readonly string[], options: Options, version = ""): Promise<void> {
  const { adapter: adapters = [] } = options;
  if (adapters.length > 0 && words.length > 1) {
    const got = `${words.length} models`;
    throw new InputError("SERVE_ADAPTER", { expected: "one model that all adapters belong to", got });
  }
  // adapters and models are asked for alike, so their names differ
  const named = namedPaths([...words, ...adapters]);
  const [paths, beside] = [named.slice(0, words.length), named.slice(words.length)];
  const settings = { ...(await readSettings(options)), version };
  const engine = await createEngine(options.threads === undefined ? {} : { threads: options.threads });
  try {
    await interruptible(async (signal) => {
      const models: ServedModel[] = [];
      for (const path of paths) models.push(...(await openModels(path, beside, engine, options)));
      const serving = await serve({ ...settings, models });
      const names = models.map(({ name }) => name);
      if (options.json) printJson({ url: serving.url, models: names });
      else print(`${names.join(", ")} at ${serving.url}/v1, the page at ${serving.url}/`);
      await aborted(signal);
      log("ending: answers under way are finished first; Ctrl-C again ends at once");
      await serving.end();
    });
  } finally {
    await engine.close();
  }
}

/** A model, and the model with each of the adapters. */
async function openModels(
  { name, path }: NamedPath,
  adapters: readonly NamedPath[],
  engine: Engine,
  { template, weights }: Options,
): Promise<ServedModel[]> {
  let progress: ReturnType<typeof startProgress> | undefined;
  const onProgress = (done: number, total: number): void => {
    progress ??= startProgress({ label: `loading ${name}`, unit: "tensors", total });
    progress.update(done);
  };
  const folders = adapters.map((adapter) => adapter.path);
  const assistants = await openAssistants(path, folders, { engine, template, weights, onProgress });
  progress?.finish();
  const names = [name, ...adapters.map((adapter) => adapter.name)];
  const created = Math.floor(Date.now() / 1000);
  return assistants.map((assistant, i) => ({ name: names[i]!, assistant, created }));
}

/** Everything but the models, before any of them is loaded: what is wrong is told at once. */
async function readSettings(options: Options): Promise<Omit<ServeOptions, "models">> {
  const { host, port, parallel, queue, maxNewTokens, pictureHost, allowedHost, allowedOrigin } = options;
  const keys = await readKeys(options);
  if (!isLoopback(host) && keys.length === 0 && options.withoutKeys !== true) {
    throw new InputError("SERVE_OPEN", {
      expected: "API keys for an address that others can reach",
      got: "none",
      where: `--host ${host}`,
      fix: "give --key-file or --key-env, or --without-keys to let everyone in",
    });
  }
  return {
    host,
    port,
    keys,
    hosts: [...(allowedHost ?? []), host].map((name) => name.toLowerCase()),
    origins: allowedOrigin ?? [],
    limits: { parallel, queue, newTokens: maxNewTokens },
    fetching: pictureHost && { hosts: pictureHost },
    tls: await readTls(options),
    log: writeLog,
    logPrompts: options.logPrompts ?? false,
    votes: await readVotesOption(options),
  };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

async function readKeys({ keyFile, keyEnv }: Options): Promise<string[]> {
  const sources: string[] = [];
  if (keyFile !== undefined) sources.push(await readFile(keyFile, "utf8"));
  if (keyEnv !== undefined) sources.push(process.env[keyEnv] ?? "");
  const keys = sources.flatMap((text) => text.split(/\s+/)).filter((key) => key !== "");
  if (sources.length > 0 && keys.length === 0) {
    const where = keyFile ?? keyEnv!;
    throw new InputError("SERVE_KEYS", { expected: "at least one API key", got: "none", where });
  }
  return keys;
}

async function readTls({ tlsCert, tlsKey }: Options): Promise<ServeOptions["tls"]> {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert !== undefined && tlsKey !== undefined) {
    return { cert: await readFile(tlsCert), key: await readFile(tlsKey) };
  }
  const got = tlsCert === undefined ? "--tls-key alone" : "--tls-cert alone";
  throw new InputError("SERVE_TLS", { expected: "--tls-cert and --tls-key together", got });
}

async function readVotesOption({ votes, voteConversations = false }: Options): Promise<ServeOptions["votes"]> {
  if (votes !== undefined) return openVotes(votes, { conversations: voteConversations });
  if (!voteConversations) return undefined;
  throw new InputError("SERVE_VOTES", { expected: "--votes FILE", got: "--vote-conversations alone" });
}

/** One JSON line a request on stderr; failures of the server's own with what is known of them. */
function writeLog(line: RequestLog, internal?: unknown): void {
  const failure = internal === undefined ? {} : { failure: describeFailure(internal) };
  log(JSON.stringify({ time: new Date().toISOString(), ...line, ...failure }));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
