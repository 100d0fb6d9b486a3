// Renders a model's Jinja chat template within limits: steps, sizes, no clock and no way out.
import * as huggingFace from "@huggingface/jinja";
import { InputError } from "../errors.ts";

/** The parts of the library that are used here (its own type declarations don't resolve under nodenext). */
interface Environment {
  set(name: string, value: unknown): unknown;
}
interface Node {
  readonly type: string;
  /** of a loop; `lhs` where the loop has a condition */
  readonly iterable?: Node & { readonly lhs?: Node };
}
interface Interpreter {
  run(program: object): { readonly value: unknown };
  evaluate(node: Node | undefined, environment: Environment): { readonly value: unknown };
}
const { Environment, Interpreter, parse, tokenize } = huggingFace as unknown as {
  readonly Environment: new () => Environment;
  readonly Interpreter: new (environment: Environment) => Interpreter;
  parse(tokens: object): object;
  tokenize(source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): object;
};

const longestTemplate = 256 * 1024;
const longestText = 1024 * 1024;
const longestRange = 10_000;
/** one step per evaluated node, more for large values: a real template with 100 turns takes some 10,000 */
const mostSteps = 1_000_000;
/** what a loop costs per item besides its body, in steps */
const stepsPerItem = 8;

/** A parsed template; `render` can be called again and again. */
export interface JinjaTemplate {
  render(variables: Readonly<Record<string, unknown>>): string;
}

/** What a template says itself by `raise_exception`. */
class Refusal extends Error {}

/**
 * Parses a chat template. Throws `TEMPLATE_INVALID`; rendering throws `TEMPLATE_REFUSED` (the template's own
 * `raise_exception`), `TEMPLATE_LIMIT` or `TEMPLATE_RENDER`. The limits count evaluated nodes and the size of every
 * value, so a template that loops is stopped; what one built-in filter does within the size limits still runs to its end
 * in this thread, so callers that take templates from strangers render them in a worker that can be ended.
 */
export function parseJinja(source: string, where: string): JinjaTemplate {
  if (source.length > longestTemplate) {
    const expected = `a chat template of at most ${longestTemplate} characters`;
    throw new InputError("TEMPLATE_INVALID", { expected, got: String(source.length), where });
  }
  let program: object;
  try {
    // Hugging Face renders with these two settings of Jinja
    program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  } catch (cause) {
    throw new InputError("TEMPLATE_INVALID", {
      expected: "a Jinja chat template",
      got: messageOf(cause),
      where,
      cause,
    });
  }
  return { render: (variables) => render(program, variables, where) };
}

function render(program: object, variables: Readonly<Record<string, unknown>>, where: string): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
  const interpreter = new LimitedInterpreter(environment, where);
  try {
    const text = interpreter.run(program).value;
    return typeof text === "string" ? text : "";
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const got = messageOf(cause);
    if (cause instanceof Refusal) {
      throw new InputError("TEMPLATE_REFUSED", {
        expected: "a conversation that the chat template takes",
        got,
        where,
        cause,
      });
    }
    throw new InputError("TEMPLATE_RENDER", { expected: "a chat template that can be rendered", got, where, cause });
  }
}

/** Counts steps and checks sizes at every node of the template. */
class LimitedInterpreter extends Interpreter {
  private readonly where: string;
  private steps = 0;
  /** the nodes whose lists are looped over: an empty body evaluates nothing, yet takes its time */
  private readonly looped = new WeakSet<Node>();

  constructor(environment: Environment, where: string) {
    super(environment);
    this.where = where;
  }

  override evaluate(node: Node | undefined, environment: Environment): { readonly value: unknown } {
    this.spend(1);
    if (node?.type === "For" && node.iterable !== undefined) this.looped.add(node.iterable.lhs ?? node.iterable);
    const result = super.evaluate(node, environment);
    const { value } = result;
    if (typeof value === "string") {
      if (value.length > longestText) this.fail(`a text of ${value.length} characters`);
      this.spend(value.length >> 8);
    } else if (Array.isArray(value)) {
      this.spend(node !== undefined && this.looped.has(node) ? value.length * stepsPerItem : value.length >> 4);
    }
    return result;
  }

  private spend(steps: number): void {
    this.steps += steps;
    if (this.steps > mostSteps) this.fail(`more than ${mostSteps} steps`);
  }

  private fail(got: string): never {
    const expected = `a chat template within ${mostSteps} steps and ${longestText} characters`;
    throw new InputError("TEMPLATE_LIMIT", {
      expected,
      got,
      where: this.where,
      fix: "use a shipped template, e.g. chatml",
    });
  }
}

/** A fixed day: a template that writes the date must give the same ids tomorrow (Llama 3.1's own default). */
const fixedDate = "26 Jul 2024";

const globals = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception(message: unknown): never {
    throw new Refusal(String(message));
  },
  range(first: unknown, second?: unknown, third?: unknown): number[] {
    const [start, stop] = second === undefined ? [0, Number(first)] : [Number(first), Number(second)];
    const step = third === undefined ? 1 : Number(third);
    const length = Math.max(0, Math.ceil((stop - start) / step));
    if (!(length <= longestRange)) {
      throw new InputError("TEMPLATE_LIMIT", {
        expected: `range() of at most ${longestRange} numbers`,
        got: String(length),
      });
    }
    return Array.from({ length }, (_, i) => start + i * step);
  },
  strftime_now: (): string => fixedDate,
  date_string: fixedDate,
};

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 300) : String(error);
}
