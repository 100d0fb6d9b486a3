// Strict JSON: errors name line and column, repeated keys and deep nesting are refused.
import { InputError } from "../errors.ts";

export interface JsonOptions {
  /** how deeply lists and objects may nest; 256 unless told */
  readonly maxDepth?: number;
  /** accepts only whole numbers without sign, fraction or exponent (safetensors headers) */
  readonly naturalNumbers?: boolean;
}

/**
 * Parses untrusted JSON (RFC 8259) as `JSON.parse` does, but refuses objects that repeat a key.
 * `where` names the text in errors. A leading byte order mark is skipped.
 * Throws `JSON_INVALID`, `JSON_DUPLICATE_KEY` or `JSON_TOO_DEEP`, each with `where:line:column`.
 */
export function parseJson(text: string, where: string, options: JsonOptions = {}): unknown {
  const start = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  new Scanner(text, where, options).scan(start);
  return JSON.parse(start === 0 ? text : text.slice(start));
}

const NATURAL = /(?:0|[1-9][0-9]*)(?![.eE])/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const WORDS: Readonly<Record<string, string>> = { t: "true", f: "false", n: "null" };

/** One pass over the text, without recursion: validity, repeated keys, depth. */
class Scanner {
  readonly #text: string;
  readonly #where: string;
  readonly #number: RegExp;
  readonly #maxDepth: number;
  #at = 0;
  /** the keys seen so far of each open object; null for an open list */
  #open: (Set<string> | null)[] = [];

  constructor(text: string, where: string, options: JsonOptions) {
    this.#text = text;
    this.#where = where;
    this.#number = options.naturalNumbers === true ? NATURAL : NUMBER;
    this.#maxDepth = options.maxDepth ?? 256;
  }

  scan(start: number): void {
    this.#at = start;
    do {
      this.#space();
      if (this.#value()) this.#afterValue();
    } while (this.#open.length > 0);
    this.#space();
    if (this.#at < this.#text.length) this.#fail("nothing after the value");
  }

  /** false where a list or object was opened, whose first value comes next */
  #value(): boolean {
    const char = this.#text[this.#at] ?? "";
    const word = WORDS[char];
    if (char === "{" || char === "[") return this.#opened(char);
    if (char === '"') this.#string();
    else if (word !== undefined && this.#text.startsWith(word, this.#at)) this.#at += word.length;
    else if (!this.#match(this.#number))
      this.#fail(this.#number === NATURAL ? "a value without sign or fraction" : "a value");
    return true;
  }

  /** true where the list or object is empty, hence over */
  #opened(bracket: "{" | "["): boolean {
    if (this.#open.length >= this.#maxDepth)
      this.#refuse("JSON_TOO_DEEP", `at most ${this.#maxDepth} levels`, "more", this.#at);
    this.#at++;
    this.#space();
    if (this.#text[this.#at] === (bracket === "{" ? "}" : "]")) {
      this.#at++;
      return true;
    }
    this.#open.push(bracket === "{" ? new Set() : null);
    if (bracket === "{") this.#key();
    return false;
  }

  /** passes closing brackets until a comma or the end of the outermost value */
  #afterValue(): void {
    for (let keys = this.#open.at(-1); keys !== undefined; keys = this.#open.at(-1)) {
      this.#space();
      const char = this.#text[this.#at];
      const end = keys === null ? "]" : "}";
      if (char !== "," && char !== end) this.#fail(`"," or "${end}"`);
      this.#at++;
      if (char === ",") {
        if (keys !== null) this.#key();
        return;
      }
      this.#open.pop();
    }
  }

  #key(): void {
    this.#space();
    const start = this.#at;
    if (this.#text[start] !== '"') this.#fail("a key in double quotes");
    this.#string();
    const raw = this.#text.slice(start + 1, this.#at - 1);
    const key = raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
    const keys = this.#open.at(-1);
    if (keys?.has(key) === true)
      this.#refuse("JSON_DUPLICATE_KEY", "each key once", `${JSON.stringify(key)} again`, start);
    keys?.add(key);
    this.#space();
    if (this.#text[this.#at] !== ":") this.#fail('":"');
    this.#at++;
  }

  #string(): void {
    this.#at++;
    for (;;) {
      const char = this.#text.charCodeAt(this.#at);
      if (char === 0x5c) {
        if (!this.#match(ESCAPE)) this.#fail("an escape such as \\n or \\u00e9");
        continue;
      }
      // a control character, or NaN behind the end
      if (!(char >= 0x20)) this.#fail('a closing "');
      this.#at++;
      if (char === 0x22) return;
    }
  }

  #space(): void {
    for (let char = this.#text.charCodeAt(this.#at); isSpace(char); char = this.#text.charCodeAt(this.#at)) this.#at++;
  }

  /** passes what the sticky expression matches here */
  #match(expression: RegExp): boolean {
    expression.lastIndex = this.#at;
    const found = expression.test(this.#text);
    if (found) this.#at = expression.lastIndex;
    return found;
  }

  #fail(expected: string): never {
    const cutOff = this.#at >= this.#text.length;
    const got = cutOff ? "the end of the text" : JSON.stringify(this.#text.slice(this.#at, this.#at + 12));
    this.#refuse(
      "JSON_INVALID",
      expected,
      got,
      this.#at,
      cutOff ? "it was cut off: write or fetch it again" : undefined,
    );
  }

  #refuse(code: string, expected: string, got: string, offset: number, fix?: string): never {
    const where = `${this.#where}:${lineAndColumn(this.#text, offset)}`;
    throw new InputError(code, {
      expected,
      got: got.length > 120 ? `${got.slice(0, 120)}…` : got,
      where,
      ...(fix !== undefined && { fix }),
    });
  }
}

/** `line:column` of an offset, both counted from 1 */
function lineAndColumn(text: string, offset: number): string {
  let line = 1;
  let lineStart = 0;
  for (let next = text.indexOf("\n"); next >= 0 && next < offset; next = text.indexOf("\n", lineStart)) {
    line++;
    lineStart = next + 1;
  }
  return `${line}:${offset - lineStart + 1}`;
}

function isSpace(char: number): boolean {
  return char === 0x20 || char === 0x0a || char === 0x0d || char === 0x09;
}
