// Pulls one JSON value after the other out of a file; holds one chunk and the value that is being read.
import { InputError } from "../errors.ts";
import { parseJson } from "../formats/json.ts";
import { openFile } from "../formats/node.ts";

type OpenFile = Awaited<ReturnType<typeof openFile>>;

/** One element of a list, one value of JSON lines, or one member (or list element) of a top-level object. */
export interface JsonItem {
  readonly value: unknown;
  /** the line it begins on, from 1 */
  readonly line: number;
  /** the key of the top-level object that holds it; "" elsewhere */
  readonly section: string;
}

const CHUNK = 2 ** 20;
/** The longest single item in bytes; a sample is a few kilobytes. */
const MOST_BYTES = 16 * 2 ** 20;
const MOST_DEPTH = 64;

const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_LIST = 91;
const CLOSE_LIST = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const COMMA = 44;
const NEWLINE = 10;
/** tab, newline, return, space */
const isSpace = (byte: number): boolean => byte === 32 || byte === NEWLINE || byte === 13 || byte === 9;

/** A cursor over the values of a file, for `json-items.ts`. */
export class JsonReader {
  readonly #path: string;
  readonly #file: OpenFile;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #bytes = new Uint8Array(0);
  #at = 0;
  /** how much of the file has been read */
  #read = 0;
  /** of `#at`, both from 1; columns count UTF-16 units */
  #line = 1;
  #column = 1;

  private constructor(path: string, file: OpenFile) {
    this.#path = path;
    this.#file = file;
  }

  /** Opens a file, skipping a byte order mark. Throws `FILE_MISSING`, `FILE_UNREADABLE`. */
  static async open(path: string): Promise<JsonReader> {
    const reader = new JsonReader(path, await openFile(path));
    await reader.#refill();
    const [first, second, third] = reader.#bytes;
    if (first === 0xef && second === 0xbb && third === 0xbf) reader.#at = 3;
    return reader;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** The next character that is not white space, without consuming it; "" at the end of the file. */
  async peek(): Promise<string> {
    for (;;) {
      for (; this.#at < this.#bytes.length; this.#at++) {
        const byte = this.#bytes[this.#at] as number;
        if (!isSpace(byte)) return String.fromCharCode(byte);
        this.#line += byte === NEWLINE ? 1 : 0;
        this.#column = byte === NEWLINE ? 1 : this.#column + 1;
      }
      if (this.#ended()) return "";
      await this.#refill();
    }
  }

  /** Consumes one punctuation character. */
  async expect(char: string): Promise<void> {
    if ((await this.peek()) !== char) throw this.#invalid(`"${char}"`);
    this.#at++;
    this.#column++;
  }

  /** Consumes a comma (true), or stops before the closing bracket (false). */
  async comma(close: string): Promise<boolean> {
    const next = await this.peek();
    if (next === close) return false;
    if (next !== ",") throw this.#invalid(`"," or "${close}"`);
    await this.expect(",");
    return true;
  }

  async end(): Promise<void> {
    if ((await this.peek()) !== "") throw this.#invalid("the end of the file");
  }

  async key(): Promise<string> {
    if ((await this.peek()) !== '"') throw this.#invalid("a key in double quotes");
    return (await this.item("")).value as string;
  }

  async *list(section: string): AsyncGenerator<JsonItem> {
    await this.expect("[");
    let more = (await this.peek()) !== "]";
    while (more) {
      yield await this.item(section);
      more = await this.comma("]");
    }
    await this.expect("]");
  }

  async item(section: string): Promise<JsonItem> {
    if (["", ",", "]", "}"].includes(await this.peek())) throw this.#invalid("a value");
    let end = valueEnd(this.#bytes, this.#at);
    while (end < 0 && !this.#ended()) {
      await this.#refill();
      end = valueEnd(this.#bytes, this.#at);
    }
    // where the file ends inside a value (perhaps inside a character), the parser says so
    const text = end < 0 ? new TextDecoder().decode(this.#bytes.subarray(this.#at)) : this.#decode(end);
    if (end < 0) end = this.#bytes.length;
    const line = this.#line;
    const value = this.#parse(text);
    this.#at = end;
    this.#column = text.includes("\n") ? text.length - text.lastIndexOf("\n") : this.#column + text.length;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.#line++;
    return { value, line, section };
  }

  /** Reads more of the file behind what is not yet consumed. */
  async #refill(): Promise<void> {
    const kept = this.#bytes.subarray(this.#at);
    if (kept.length > MOST_BYTES) {
      const got = "a longer one, or a quote that is never closed";
      throw this.#error("JSON_TOO_LONG", `values of at most ${MOST_BYTES / 2 ** 20} MiB`, got);
    }
    const fresh = await this.#file.read(
      this.#read,
      Math.min(Math.max(CHUNK, kept.length), this.#file.size - this.#read),
    );
    this.#read += fresh.length;
    this.#bytes = new Uint8Array(kept.length + fresh.length);
    this.#bytes.set(kept);
    this.#bytes.set(fresh, kept.length);
    this.#at = 0;
  }

  #ended(): boolean {
    return this.#read === this.#file.size;
  }

  #decode(end: number): string {
    try {
      return this.#decoder.decode(this.#bytes.subarray(this.#at, end));
    } catch {
      throw this.#error("TEXT_INVALID", "UTF-8 text", "other bytes", "save it as UTF-8");
    }
  }

  /** Parses one value; an error's place inside it becomes a place in the file. */
  #parse(text: string): unknown {
    try {
      return parseJson(text, "", { maxDepth: MOST_DEPTH });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const [line, column] = (error.details.where ?? "").split(":").slice(-2).map(Number) as [number, number];
      const place = `${this.#line + line - 1}:${line === 1 ? this.#column + column - 1 : column}`;
      throw new InputError(error.code, { ...error.details, where: `${this.#path}:${place}` });
    }
  }

  #invalid(expected: string): InputError {
    const rest = this.#bytes.subarray(this.#at, this.#at + 12);
    if (rest.length > 0) return this.#error("JSON_INVALID", expected, JSON.stringify(new TextDecoder().decode(rest)));
    return this.#error("JSON_INVALID", expected, "the end of the file", "it was cut off: write or fetch it again");
  }

  #error(code: string, expected: string, got: string, fix?: string): InputError {
    const where = `${this.#path}:${this.#line}:${this.#column}`;
    return new InputError(code, { expected, got, where, ...(fix !== undefined && { fix }) });
  }
}

/** Where the value at `start` ends, judged by quotes and brackets alone; -1 when the bytes do not reach that far. */
function valueEnd(bytes: Uint8Array, start: number): number {
  const first = bytes[start];
  if (first === QUOTE) return stringEnd(bytes, start);
  if (first !== OPEN_OBJECT && first !== OPEN_LIST) return wordEnd(bytes, start);
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = stringEnd(bytes, at) - 1;
      if (at < 0) return -1;
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) depth++;
    else if ((byte === CLOSE_OBJECT || byte === CLOSE_LIST) && --depth === 0) return at + 1;
  }
  return -1;
}

/** The place behind the closing quote; a quote behind an odd number of backslashes does not close. */
function stringEnd(bytes: Uint8Array, start: number): number {
  for (let at = bytes.indexOf(QUOTE, start + 1); at >= 0; at = bytes.indexOf(QUOTE, at + 1)) {
    let before = at - 1;
    while (bytes[before] === BACKSLASH) before--;
    if ((at - before) % 2 === 1) return at + 1;
  }
  return -1;
}

function wordEnd(bytes: Uint8Array, start: number): number {
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (isSpace(byte) || byte === COMMA || byte === CLOSE_LIST || byte === CLOSE_OBJECT) return at;
  }
  return -1;
}
