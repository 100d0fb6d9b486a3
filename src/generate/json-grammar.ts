// JSON Schema → a grammar of the JSON texts that satisfy it; schemas that say more than the grammar can hold are refused.
import { InputError } from "../errors.ts";
import type { Item, Sequence } from "./grammar.ts";

type Json = Readonly<Record<string, unknown>>;

const text = (value: string): Item => ({ kind: "text", text: value });
const one = (has: (code: number) => boolean): Item => ({ kind: "one", has });
const either = (...of: Sequence[]): Item => ({ kind: "either", of });
const many = (...of: Item[]): Item => ({ kind: "many", of });
const within = (characters: string): Item => one((code) => characters.includes(String.fromCharCode(code)));

// one way to write each value: a space behind colons and commas, as most JSON that models have read
const [comma, colon, digit, quote] = [text(", "), text(": "), within("0123456789"), text('"')];
const hex = within("0123456789abcdefABCDEF");
const escaped: Sequence = [text("\\"), either([within('"\\/bfnrt')], [text("u"), hex, hex, hex, hex])];
const plain = one((code) => code >= 0x20 && code !== 0x22 && code !== 0x5c);
const string: Sequence = [quote, many(either([plain], escaped)), quote];
/** at most so many digits: a model that has begun a number might never end it */
const digits = upTo(15, [digit]);
const integer: Sequence = [either([], [text("-")]), either([text("0")], [within("123456789"), digits])];
const number: Sequence = [
  ...integer,
  either([], [text("."), digit, digits]),
  either([], [within("eE"), either([], [within("+-")]), digit, either([], [digit])]),
];
let anyValue: Sequence | undefined;
const anyItem: Item = {
  kind: "later",
  make: () =>
    (anyValue ??= [either(string, number, [text("true")], [text("false")], [text("null")], anyArray, anyObject)]),
};
const anyArray: Sequence = list([anyItem]);
const anyObject: Sequence = wrapped("{", [...string, colon, anyItem], "}");

const ignored: ReadonlySet<string> = new Set(
  "title description default examples $schema $id $comment $defs definitions deprecated readOnly writeOnly".split(" "),
);
const byType: Readonly<Record<string, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "minItems", "maxItems"],
};
const deepest = 32;
const mostItems = 64;
const mostReferences = 100;
const mostProperties = 200;

/**
 * The grammar of a JSON Schema (draft 2020-12): types, properties in the schema's order, required or not, items, enum,
 * const, anyOf, oneOf, local $ref. Properties that a schema allows without naming them are not written.
 * Throws `JSON_SCHEMA` for everything else, as it could not be guaranteed.
 */
export function schemaGrammar(schema: unknown): Sequence {
  return new Compiler(schema).sequence(schema, "schema", 0);
}

class Compiler {
  readonly #root: unknown;
  readonly #references = new Map<string, Item>();

  constructor(root: unknown) {
    this.#root = root;
  }

  sequence(schema: unknown, where: string, depth: number): Sequence {
    if (schema === true) return [anyItem];
    if (!isObject(schema)) throw refuse("an object or true", show(schema), where);
    if (depth > deepest) throw refuse(`at most ${deepest} levels`, "more", where);
    const inner = (value: unknown, name: string): Sequence => this.sequence(value, `${where}.${name}`, depth + 1);
    if (typeof schema["$ref"] === "string") return [this.#reference(schema["$ref"], where)];
    if ("const" in schema) return [text(written(schema["const"]))];
    if (Array.isArray(schema["enum"])) return [either(...schema["enum"].map((value) => [text(written(value))]))];
    const choices = schema["anyOf"] ?? schema["oneOf"];
    if (Array.isArray(choices) && choices.length > 0) {
      checkKeys(schema, ["anyOf", "oneOf", "type"], where);
      return [either(...choices.map((each, i) => inner(each, `anyOf[${i}]`)))];
    }
    const types = [schema["type"] ?? (schema["properties"] === undefined ? "any" : "object")].flat();
    checkKeys(schema, ["type", ...types.flatMap((type) => byType[String(type)] ?? [])], where);
    return [either(...types.map((type) => this.#typed(String(type), schema, inner, where)))];
  }

  #typed(type: string, schema: Json, inner: (value: unknown, name: string) => Sequence, where: string): Sequence {
    switch (type) {
      case "string":
        return string;
      case "integer":
        return integer;
      case "number":
        return number;
      case "boolean":
        return [either([text("true")], [text("false")])];
      case "null":
        return [text("null")];
      case "any":
        return [anyItem];
      case "array":
        return array(schema, schema["items"] === undefined ? [anyItem] : inner(schema["items"], "items"), where);
      case "object":
        return object(schema, inner, where);
    }
    throw refuse("a type of JSON", type, where);
  }

  /** Made when it is first met, so that schemas may contain themselves. */
  #reference(pointer: string, where: string): Item {
    const known = this.#references.get(pointer);
    if (known) return known;
    if (this.#references.size >= mostReferences)
      throw refuse(`at most ${mostReferences} different $ref`, "more", where);
    if (!/^#(\/|$)/.test(pointer)) throw refuse("a $ref into the schema itself (#/…)", show(pointer), where);
    const target = pointer
      .split("/")
      .slice(1)
      .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
      .reduce<unknown>((at, part) => (isObject(at) && Object.hasOwn(at, part) ? at[part] : undefined), this.#root);
    if (target === undefined) throw refuse("a $ref to something there", show(pointer), where);
    let made: Sequence | undefined;
    const item: Item = { kind: "later", make: () => (made ??= this.sequence(target, pointer, 0)) };
    this.#references.set(pointer, item);
    // what is wrong with it is told now, not in the middle of an answer
    item.make();
    return item;
  }
}

function object(schema: Json, inner: (value: unknown, name: string) => Sequence, where: string): Sequence {
  const { properties, additionalProperties: more, required = [] } = schema;
  if (properties === undefined) {
    if (more === false) return [text("{}")];
    return wrapped("{", [...string, colon, ...(isObject(more) ? inner(more, "additionalProperties") : [anyItem])], "}");
  }
  if (!isObject(properties) || !Array.isArray(required))
    throw refuse("properties and a list of names", "others", where);
  const unknown = required.find((name) => typeof name !== "string" || !Object.hasOwn(properties, name));
  if (unknown !== undefined) throw refuse("required properties that are described", show(unknown), where);
  const count = Object.keys(properties).length;
  if (count > mostProperties) throw refuse(`at most ${mostProperties} properties`, String(count), where);
  const members = Object.entries(properties).map(([name, value]) => ({
    needed: required.includes(name),
    sequence: [text(`${JSON.stringify(name)}: `), ...inner(value, `properties.${name}`)],
  }));
  // from the last member to the first: what may follow, when something was written before and when not
  let [first, later]: readonly [Sequence, Sequence] = [[], []];
  for (const { needed, sequence } of members.toReversed()) {
    const [skipFirst, skipLater] = [first, later];
    const withThis: Sequence = [...sequence, ...later];
    first = needed ? withThis : [either(withThis, skipFirst)];
    later = needed ? [comma, ...withThis] : [either([comma, ...withThis], skipLater)];
  }
  return [text("{"), ...first, text("}")];
}

function array({ minItems = 0, maxItems }: Json, item: Sequence, where: string): Sequence {
  const [least, most] = [Number(minItems), maxItems === undefined ? undefined : Number(maxItems)];
  const whole = [least, most ?? least].every((n) => Number.isInteger(n) && n >= 0 && n <= mostItems);
  if (!whole || (most !== undefined && most < least)) throw refuse(`0 to ${mostItems} items`, "other bounds", where);
  if (most === 0) return [text("[]")];
  const more: Sequence = [comma, ...item];
  const needed = Array.from({ length: Math.max(0, least - 1) }, () => more).flat();
  const rest = most === undefined ? many(...more) : upTo(most - Math.max(1, least), more);
  const some: Sequence = [...item, ...needed, rest];
  return [text("["), ...(least === 0 ? [either([], some)] : some), text("]")];
}

function list(item: Sequence): Sequence {
  return wrapped("[", item, "]");
}

function wrapped(open: string, item: Sequence, close: string): Sequence {
  return [text(open), either([], [...item, many(comma, ...item)]), text(close)];
}

/** None to `count` times. */
function upTo(count: number, item: Sequence): Item {
  let rest: Sequence = [];
  for (let i = 0; i < count; i++) rest = [either([], [...item, ...rest])];
  return rest[0] ?? text("");
}

/** A value as this grammar writes values. */
function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, each]) => `${JSON.stringify(name)}: ${written(each)}`)
    .join(", ")}}`;
}

function checkKeys(schema: Json, known: readonly string[], where: string): void {
  const other = Object.keys(schema).find((key) => !known.includes(key) && !ignored.has(key));
  if (other !== undefined) throw refuse("keywords that can be guaranteed", show(other), where);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 60);
}

function refuse(expected: string, got: string, where: string): InputError {
  return new InputError("JSON_SCHEMA", { expected, got, where: where.slice(0, 200), fix: "simplify the schema" });
}
