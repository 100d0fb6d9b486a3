// A batch endpoint on loopback for tests: works on batches at once, charges for what it answers, breaks where it is told.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { talk } from "./endpoint.fixture.ts";

interface Request {
  readonly custom_id: string;
  readonly body: { readonly model: string; readonly messages: readonly { readonly content: string }[] };
}

interface Batch {
  readonly id: string;
  status: string;
  readonly metadata: Record<string, string>;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly request_counts: { completed: number };
  readonly errors?: unknown;
}

export interface BatchFaults {
  /** what becomes of a request instead of an answer */
  readonly fate?: (context: string) => "missing" | "twice" | "expired" | "refused" | "nonsense" | "useless" | undefined;
  readonly status?: string;
  /** the batch is made, its maker never hears of it */
  readonly dropCreated?: boolean;
  /** nothing is listed, nor told about any batch */
  readonly deaf?: boolean;
  /** a file has come */
  readonly onFile?: () => void;
  /** looks at a batch before it ends */
  readonly looks?: number;
}

export interface FakeBatches {
  readonly base: string;
  faults: BatchFaults;
  readonly batches: Batch[];
  /** nanodollars, at half of 3 and 7 dollars per million for 10 + 5 tokens */
  charged: number;
  /** how often each context was worked on */
  readonly worked: Map<string, number>;
  close(): void;
}

/** Half of fakeCost. */
export const batchCost = (10 * 3000 + 5 * 7000) / 2;

export async function fakeBatches(): Promise<FakeBatches> {
  const files = new Map<string, string>();
  const self: FakeBatches = {
    base: "",
    faults: {},
    batches: [],
    charged: 0,
    worked: new Map(),
    close: () => undefined,
  };
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => answer(self, files, incoming, response, Buffer.concat(chunks).toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(self, {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close: () => server.close().closeAllConnections(),
  });
}

type Files = Map<string, string>;

function answer(
  self: FakeBatches,
  files: Files,
  incoming: IncomingMessage,
  response: ServerResponse,
  body: string,
): void {
  const json = (value: unknown): void => void response.end(JSON.stringify(value));
  const [path = "", query = ""] = (incoming.url ?? "").replace("/v1", "").split("?");
  if (path === "/files") {
    self.faults.onFile?.();
    const id = `file-${files.size}`;
    files.set(id, /application\/jsonl\r\n\r\n([\s\S]*)\r\n--/.exec(body)?.[1] ?? "");
    return json({ id });
  }
  if (path.startsWith("/files/")) return void response.end(files.get(path.split("/")[2] ?? ""));
  if (path === "/batches" && incoming.method === "POST") {
    const batch = make(self, files, JSON.parse(body) as Making);
    return self.faults.dropCreated ? void response.destroy() : json(batch);
  }
  if (self.faults.deaf) return void response.destroy();
  if (path === "/batches") {
    const from = self.batches.findIndex(({ id }) => query.includes(`after=${id}`)) + 1;
    // a page of one, so that pages are walked
    return json({ data: self.batches.slice(from, from + 1), has_more: from + 1 < self.batches.length });
  }
  const batch = self.batches.find(({ id }) => path.endsWith(id));
  const looks = Number(batch?.metadata["looks"] ?? 0);
  if (batch !== undefined) batch.metadata["looks"] = String(looks + 1);
  return json(looks < (self.faults.looks ?? 0) ? { ...batch, status: "in_progress" } : batch);
}

interface Making {
  readonly input_file_id: string;
  readonly metadata: Record<string, string>;
}

function make(self: FakeBatches, files: Files, { input_file_id, metadata }: Making): Batch {
  const lines = (files.get(input_file_id) ?? "").trim().split("\n");
  const status = self.faults.status ?? "completed";
  const done = status === "failed" ? [] : lines.map((line) => work(self, JSON.parse(line) as Request));
  // never in the order of asking
  const output = done.flatMap(({ output = [] }) => output).reverse();
  const errors = done.flatMap(({ errors = [] }) => errors);
  const n = self.batches.length;
  files.set(`out-${n}`, output.join("\n"));
  files.set(`err-${n}`, errors.join("\n"));
  const batch = {
    id: `batch-${n}`,
    status,
    metadata: { ...metadata },
    output_file_id: output.length > 0 ? `out-${n}` : null,
    error_file_id: errors.length > 0 ? `err-${n}` : null,
    request_counts: { completed: new Set(output).size },
    ...(status === "failed" ? { errors: { data: [{ code: "token_limit_exceeded", message: "too many" }] } } : {}),
  };
  self.batches.push(batch);
  return batch;
}

function work(self: FakeBatches, { custom_id, body }: Request): { output?: string[]; errors?: string[] } {
  const context = body.messages.at(-1)?.content ?? "";
  const fate = self.faults.fate?.(context);
  if (fate === "missing") return {};
  if (fate === "expired") {
    const error = { code: "batch_expired", message: "late" };
    return { errors: [JSON.stringify({ custom_id, response: null, error })] };
  }
  if (fate === "refused") {
    const response = { status_code: 400, body: { error: { message: "too long", code: "bad" } } };
    return { errors: [JSON.stringify({ custom_id, response, error: null })] };
  }
  self.charged += batchCost;
  self.worked.set(context, (self.worked.get(context) ?? 0) + 1);
  const usage = { prompt_tokens: 10, completion_tokens: 5 };
  // a character that some readers take for the end of a line
  const message = { content: fate === "useless" ? "no form" : `${talk(context)}\u2028` };
  const reply = fate === "nonsense" ? { hello: 1 } : { choices: [{ finish_reason: "stop", message }], usage };
  const line = JSON.stringify({ custom_id, response: { status_code: 200, body: reply }, error: null });
  return { output: fate === "twice" ? [line, line] : [line] };
}
