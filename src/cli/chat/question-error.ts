// Which errors belong to one question, so that the next can be asked.
import { LlavaError } from "../../errors.ts";

/** Whether the engine still answers: a wrong path, a question that is too long, a schema that cannot be held to. */
export function isOfQuestion(error: unknown): error is LlavaError {
  return error instanceof LlavaError && !error.code.startsWith("ENGINE_");
}
