// Untrusted JSON → a checked request; the first thing wrong becomes a 400 that names its field.
import type { z } from "zod";
import { RequestError } from "./errors.ts";

/** Parses a body. Throws `INVALID_JSON`, `UNSUPPORTED_PARAMETER` or `INVALID_VALUE`, never with the value itself. */
export function parseBody<S extends z.ZodType>(bytes: Uint8Array, schema: S): z.infer<S> {
  const result = schema.safeParse(parseJson(bytes));
  if (result.success) return result.data;
  throw issueError(deepest(result.error.issues[0]!));
}

/** marks of structure, far beyond any honest request: a long list takes long to check, a picture is one string */
const mostMarks = 50_000;

function parseJson(bytes: Uint8Array): unknown {
  if (countMarks(bytes) > mostMarks) {
    const expected = "a body of fewer parts";
    throw new RequestError(400, "INVALID_JSON", { expected, got: `more than ${mostMarks} brackets and commas` });
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    // the parser's words would repeat what was sent
    throw new RequestError(400, "INVALID_JSON", { expected: "a body of JSON in UTF-8", got: "something else" });
  }
}

function countMarks(bytes: Uint8Array): number {
  let count = 0;
  for (const mark of ["[", "{", ","].map((each) => each.charCodeAt(0))) {
    for (let at = bytes.indexOf(mark); at >= 0 && count <= mostMarks; at = bytes.indexOf(mark, at + 1)) count++;
  }
  return count;
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly code: string;
  readonly expected?: string;
}

/** Of a union's alternatives, the issue that lies deepest: the alternative that was meant. */
function deepest(issue: z.core.$ZodIssue): Issue {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return issue as Issue;
  const inner = issue.errors.flatMap((issues) => issues.map(deepest));
  const best = inner.reduce((a, b) => (b.path.length > a.path.length ? b : a));
  return { ...best, path: [...issue.path, ...best.path] };
}

function issueError({ path, message, code, expected }: Issue): RequestError {
  const where = showPath(path);
  if (code === "invalid_type" && expected === "never") return unsupported(where);
  const field = String(path[0] ?? "");
  if (neverHeeded.has(field)) return unsupported(field);
  return new RequestError(400, "INVALID_VALUE", {
    expected: `a request as /openapi.json describes it`,
    got: message.charAt(0).toLowerCase() + message.slice(1),
    where,
  });
}

const neverHeeded: ReadonlySet<string> = new Set(
  "frequency_penalty presence_penalty logit_bias tools tool_choice functions modalities audio previous_response_id conversation background".split(
    " ",
  ),
);

function unsupported(where: string): RequestError {
  return new RequestError(400, "UNSUPPORTED_PARAMETER", {
    expected: "no such parameter, or its neutral value",
    got: "a value that this server would not heed",
    where,
    fix: "leave it out",
  });
}

/** messages[0].content[1].text */
function showPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? String(part) : `${text}.${String(part)}`;
  }, "");
}
