// The lines of a batch: requests as they go up, and what came back for each.
import { z } from "zod";
import { decodeProblem, decodeReply, requestBody, type ChatReply, type ChatRequest } from "./wire.ts";

/** One line of the file that goes up; the key comes back with the answer. */
export function batchLine(key: string, request: ChatRequest): string {
  const body = requestBody(request, "max_completion_tokens");
  return `${JSON.stringify({ custom_id: key, method: "POST", url: "/v1/chat/completions", body })}\n`;
}

const line = z.object({
  custom_id: z.string(),
  response: z.object({ status_code: z.number().int(), body: z.unknown() }).nullish(),
  error: z.object({ code: z.string().nullish(), message: z.string().nullish() }).nullish(),
});

/** What a line says: an answer with its body, or why there is none; `doubt`: it may have been charged all the same. */
export type BatchOutcome =
  | { readonly reply: ChatReply; readonly body: string }
  | { readonly code: string; readonly got: string; readonly doubt: boolean; readonly body: string };

/** The outcome of a line with the key of its request; undefined where it cannot be read. */
export function readBatchLine(text: string): { readonly key: string; readonly outcome: BatchOutcome } | undefined {
  const parsed = line.safeParse(parse(text));
  if (!parsed.success) return undefined;
  const { custom_id: key, response, error } = parsed.data;
  if (!response) {
    const code = error?.code === "batch_expired" ? "BATCH_EXPIRED" : "BATCH_ERROR";
    return { key, outcome: { code, got: error?.message ?? error?.code ?? "no reason", doubt: false, body: text } };
  }
  const { status_code: status, body } = response;
  const problem = decodeProblem(body);
  if (status >= 400 || problem !== undefined) {
    const got = `status ${status}${problem?.message ? `: "${problem.message.slice(0, 200)}"` : ""}`;
    return { key, outcome: { code: "BATCH_ERROR", got, doubt: false, body: text } };
  }
  const reply = decodeReply(body);
  if (typeof reply === "string")
    return { key, outcome: { code: "ENDPOINT_NONSENSE", got: reply, doubt: true, body: text } };
  return { key, outcome: { reply, body: JSON.stringify(body) } };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
