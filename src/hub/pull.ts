// Models from the Hugging Face hub, or a mirror of it, into the cache that its tools share.
import { homedir } from "node:os";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { HubApiError, listFiles, type ListFileEntry, modelInfo } from "@huggingface/hub";
import { InputError, LlavaError, RunError } from "../errors.ts";
import { lockFile } from "../formats/lock-node.ts";
import { exists, repoCache, type RepoCache } from "./cache.ts";
import { type Checksum, download, refused, unreachable } from "./download.ts";

export interface PullOptions {
  /** branch, tag or commit; "main" unless told */
  readonly revision?: string;
  /** names of files; absent: what a model needs to be opened */
  readonly files?: readonly string[];
  /** nothing is asked of the network */
  readonly offline?: boolean;
  /** the cache's root, for tests and other disks */
  readonly cache?: string;
  /** the hub's address; HF_ENDPOINT, else huggingface.co */
  readonly endpoint?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (file: string, bytes: number, total: number) => void;
}

/**
 * Downloads what is missing of a model and returns its folder. The token is HF_TOKEN or what `huggingface-cli login` kept;
 * it goes to the hub alone. Throws `HUB_ID`, `HUB_REFUSED`, `HUB_UNREACHABLE`, `HUB_CUT_OFF`, `HUB_CHECKSUM`, `HUB_OFFLINE`,
 * `HUB_FILES`, `HUB_PATH`, `HUB_TOKEN`, `HUB_BUSY`.
 */
export async function pull(id: string, options: PullOptions = {}): Promise<string> {
  checkId(id);
  const { revision = "main" } = options;
  const cache = repoCache(id, options.cache);
  if (options.offline === true) return cached(cache, id, revision);
  const hubUrl = options.endpoint ?? process.env["HF_ENDPOINT"] ?? "https://huggingface.co";
  const accessToken = await readToken();
  const access = { hubUrl, ...(accessToken === undefined ? {} : { accessToken }) };
  const { sha: commit } = await asked(hubUrl, () =>
    modelInfo({ name: id, revision, additionalFields: ["sha"], ...access }),
  );
  const all = await asked(hubUrl, () => collect(listFiles({ repo: id, revision: commit, recursive: true, ...access })));
  const wanted = chosen(
    all.filter(({ type }) => type === "file"),
    options.files,
    id,
  );
  await mkdir(cache.folder, { recursive: true });
  const release = await lockFile(join(cache.folder, ".llava-pull.lock"), busy);
  try {
    for (const entry of wanted) await fetchFile(entry, { id, hubUrl, commit, accessToken, cache, options });
  } finally {
    await release();
  }
  // a few files of a model are not the model that --offline gives
  if (options.files === undefined) await cache.setCommit(revision, commit);
  return cache.snapshot(commit);
}

const busy = { code: "HUB_BUSY", expected: "no other pull of this model" };

interface Place {
  readonly id: string;
  readonly hubUrl: string;
  readonly commit: string;
  readonly accessToken: string | undefined;
  readonly cache: RepoCache;
  readonly options: PullOptions;
}

async function fetchFile(
  entry: ListFileEntry,
  { id, hubUrl, commit, accessToken, cache, options }: Place,
): Promise<void> {
  const checksum = checksumOf(entry);
  const path = cache.blob(checksum.hex);
  const headers: Record<string, string> = accessToken === undefined ? {} : { Authorization: `Bearer ${accessToken}` };
  const url = `${hubUrl}/${id}/resolve/${commit}/${entry.path.split("/").map(encodeURIComponent).join("/")}`;
  const { size } = entry;
  const { signal, onProgress } = options;
  if (!(await exists(path))) {
    const onBytes = (bytes: number): void => onProgress?.(entry.path, bytes, size);
    await download({ url, headers, path, size, checksum, signal, onBytes });
  }
  await cache.link(commit, entry.path, checksum.hex);
}

async function cached(cache: RepoCache, id: string, revision: string): Promise<string> {
  const commit = await cache.commitOf(revision);
  if (commit !== undefined) return cache.snapshot(commit);
  const got = "nothing of it in the cache";
  throw new InputError("HUB_OFFLINE", {
    expected: `${id} at ${revision}`,
    got,
    where: cache.folder,
    fix: "pull it once without --offline",
  });
}

function checkId(id: string): void {
  if (/^[\w.-]{1,96}\/[\w.-]{1,96}$/.test(id) && !/(^|\/)\.{1,2}(\/|$)/.test(id)) return;
  throw new InputError("HUB_ID", {
    expected: "OWNER/NAME",
    got: JSON.stringify(id.slice(0, 80)),
    fix: "name a model of the hub",
  });
}

/** HF_TOKEN, else the file that Hugging Face's tools keep it in. */
async function readToken(): Promise<string | undefined> {
  const home = process.env["HF_HOME"] ?? join(homedir(), ".cache", "huggingface");
  const path = process.env["HF_TOKEN_PATH"] ?? join(home, "token");
  const token = (process.env["HF_TOKEN"] ?? (await readFile(path, "utf8").catch(() => ""))).trim();
  if (token === "" || token.startsWith("hf_")) return token === "" ? undefined : token;
  const fix = "set HF_TOKEN to one from huggingface.co/settings/tokens, or unset it";
  throw new InputError("HUB_TOKEN", { expected: "a token that starts with hf_", got: "another", fix });
}

async function asked<T>(where: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof HubApiError) throw refused(error.url, error.statusCode);
    throw error instanceof LlavaError ? error : unreachable(where, error);
  }
}

/** no model has more files; a hub that goes on listing them is not one */
const MOST_FILES = 10_000;

async function collect(entries: AsyncIterable<ListFileEntry>): Promise<ListFileEntry[]> {
  const all: ListFileEntry[] = [];
  for await (const entry of entries) {
    if (all.length === MOST_FILES) {
      throw new RunError("HUB_FILES", { expected: `at most ${MOST_FILES} files`, got: "more" });
    }
    all.push(entry);
  }
  return all;
}

/** Files in the repository's top folder that opening a model reads; weights of other frameworks stay where they are. */
function chosen(all: readonly ListFileEntry[], names: readonly string[] | undefined, id: string): ListFileEntry[] {
  for (const { path } of all) checkPath(path, id);
  if (names !== undefined) {
    return names.map((name) => all.find(({ path }) => path === name) ?? missing(id, name));
  }
  const safe = all.some(({ path }) => path.endsWith(".safetensors"));
  const weights = safe ? /^[^/]+\.safetensors(\.index\.json)?$/ : /^[^/]+\.(bin|gguf)(\.index\.json)?$/;
  const found = all.filter(
    ({ path }) =>
      weights.test(path) ||
      (/^[^/]+\.(json|jinja|txt|model)$/.test(path) && !path.endsWith(".bin.index.json")) ||
      /^(README\.md|LICENSE[^/]*)$/.test(path),
  );
  return found.some(({ path }) => weights.test(path)) ? found : missing(id, "weights as .safetensors, .bin or .gguf");
}

function missing(id: string, what: string): never {
  throw new InputError("HUB_FILES", {
    expected: what,
    got: "no such file",
    where: id,
    fix: "look at the model's page",
  });
}

/** Names come from the repository: none may lead out of the cache. */
function checkPath(path: string, id: string): void {
  const parts = path.split("/");
  const strange = (part: string): boolean => part === "" || part === "." || part === ".." || /[\\:\p{Cc}]/u.test(part);
  if (path.length < 1000 && !parts.some(strange)) return;
  throw new RunError("HUB_PATH", {
    expected: "file names inside the repository",
    got: JSON.stringify(path.slice(0, 80)),
    where: id,
  });
}

function checksumOf({ lfs, oid, path }: ListFileEntry): Checksum {
  if (lfs !== undefined && /^[0-9a-f]{64}$/.test(lfs.oid)) return { kind: "sha256", hex: lfs.oid };
  if (lfs === undefined && oid !== undefined && /^[0-9a-f]{40}$/.test(oid)) return { kind: "git-sha1", hex: oid };
  throw new RunError("HUB_CHECKSUM", { expected: "a hash to check the file by", got: "none", where: path });
}
