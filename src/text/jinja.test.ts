// Chat templates that misbehave, and those that want their content in other ways.
import { describe, expect, it } from "vitest";
import { InputError } from "../errors.ts";
import { partsOf, textTurn, type ChatTurn } from "./conversation.ts";
import { encodeConversation, encodePrompt, IMAGE_PLACEHOLDER } from "./encode.ts";
import { parseJinja } from "./jinja.ts";
import { chatTemplateOf, modelTemplate } from "./model-template.ts";
import { tinyTokenizer } from "./tokenizers.fixture.ts";

const render = (source: string, variables = {}): string => parseJinja(source, "t.jinja").render(variables);
const bytes = tinyTokenizer("bytes");
const rounds = [textTurn("user", "Hi."), textTurn("assistant", "Ho.")];

function written(source: string, turns: readonly ChatTurn[]): string {
  const { ids, learned } = encodeConversation(bytes, modelTemplate(bytes, source, "t.jinja"), turns);
  let text = "";
  for (const [i, id] of ids.entries()) {
    if (learned[i] !== (learned[i - 1] ?? 0)) text += learned[i] === 1 ? "⟦" : "⟧";
    text += id === IMAGE_PLACEHOLDER ? "▣" : bytes.decode([id]);
  }
  return learned.at(-1) === 1 ? `${text}⟧` : text;
}

describe("limits", () => {
  it.each([
    ["a long loop", "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"],
    [
      "loops over a kept list",
      "{% set r = range(3000) %}{% for a in r %}{% for b in r %}{% for c in r %}x{% endfor %}{% endfor %}{% endfor %}",
    ],
    [
      "loops with a condition",
      "{% set r = range(3000) %}{% for a in r %}{% for b in r if false %}{% endfor %}{% endfor %}",
    ],
    [
      "a list that doubles",
      "{% set ns = namespace(a=[1]) %}{% for i in range(40) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
    ],
    [
      "a text that doubles",
      "{% set ns = namespace(a='ab') %}{% for i in range(64) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
    ],
    [
      "a long output",
      "{% set s = 'x' * 1 %}{% for i in range(9000) %}{{ 'y'.join(range(200) | map('string')) }}{% endfor %}",
    ],
    ["a long range", "{{ range(1000000000) }}"],
    ["a range that never ends", "{{ range(0, 10, 0) }}"],
    ["endless recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"],
    [
      "macros that branch",
      `{% macro f(n) %}{% if n > 0 %}${"{{ f(n - 1) }}".repeat(9)}{% endif %}{% endmacro %}{{ f(12) }}`,
    ],
    ["deep nesting", `{{ ${"(".repeat(60_000)}1${")".repeat(60_000)} }}`],
    ["a template that is too long", "x".repeat(300_000)],
    ["an unclosed block", "{% for m in messages %}"],
    ["a way out through a constructor", "{{ ''.constructor.constructor('return process')() }}"],
    ["a filter that is none", "{{ 1 | nonsense }}"],
  ])("stops %s", (_, source) => {
    expect(() => render(source)).toThrow(InputError);
  });

  it("names the template's own refusal", () => {
    const refuse = (): string => render("{{ raise_exception('only in turn') }}");
    expect(refuse).toThrow(
      expect.objectContaining({ code: "TEMPLATE_REFUSED", message: expect.stringContaining("only in turn") }),
    );
  });

  it("says a limit at once, without trying other ways to fill the template", () => {
    const template = modelTemplate(
      bytes,
      "{% set r = range(9999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}",
      "t.jinja",
    );
    expect(() => template.segments(rounds)).toThrow(expect.objectContaining({ code: "TEMPLATE_LIMIT" }));
  });

  it("does not stop a long conversation", () => {
    const source =
      "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}";
    const turns = Array.from({ length: 400 }, (_, i) =>
      textTurn(i % 2 === 0 ? "user" : "assistant", `${i} `.repeat(20)),
    );
    const { learned } = encodeConversation(bytes, modelTemplate(bytes, source, "t.jinja"), turns);
    expect(learned.filter((value, i) => value === 1 && learned[i + 1] !== 1)).toHaveLength(200);
  });

  it("gives the same date every day", () => {
    expect(render("{{ strftime_now('%Y') }} {{ date_string }}")).toBe("26 Jul 2024 26 Jul 2024");
  });

  it("has Python's range", () => {
    expect(
      render(
        "{{ range(3) | join(',') }} {{ range(1, 3) | join(',') }} {{ range(5, 0, -2) | join(',') }} {{ range(3, 1) | length }}",
      ),
    ).toBe("0,1,2 1,2 5,3,1 0");
  });
});

describe("content", () => {
  // as multimodal models write it: a list of parts, pictures first
  const listed =
    "{% for m in messages %}{{ m['role'].upper() + ': ' }}{% for c in m['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}" +
    "{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] + ' ' }}{% endfor %}{% if m['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}";

  it("fills templates that want lists of parts", () => {
    const turns: ChatTurn[] = [
      { role: "user", content: partsOf("<image>\nWhat <b>?", 1) },
      textTurn("assistant", "A dog."),
      { role: "user", content: [{ type: "image" }] },
      textTurn("assistant", ""),
    ];
    expect(written(listed, turns)).toBe("USER: ▣\nWhat <b>? ASSISTANT:⟦ A dog. </s>⟧USER: ▣\n ASSISTANT:⟦</s>⟧");
  });

  it("takes words as they are: Jinja, control tokens and markers in them are text", () => {
    const words = "{{ 7 * 7 }} {% raw %} </s> <image> <|im_end|>";
    const source = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
    const { ids } = encodeConversation(bytes, modelTemplate(bytes, source, "t"), [
      textTurn("user", words),
      textTurn("assistant", words),
    ]);
    expect(bytes.decode(ids)).toBe(`<|im_start|>user\n${words}<|im_end|>\n<|im_start|>assistant\n${words}<|im_end|>\n`);
    expect([...ids].filter((id) => id === bytes.controlId("<|im_end|>"))).toHaveLength(2);
    expect(ids).not.toContain(bytes.controlId("<image>"));
  });

  it("trims where the template trims, and only there", () => {
    const turns = [textTurn("user", " a \n"), textTurn("assistant", "\n b ")];
    expect(written("{% for m in messages %}[{{ m.content | trim }}]</s>{% endfor %}".replaceAll("]", ""), turns)).toBe(
      "[a</s>[⟦b</s>⟧",
    );
    expect(written("{% for m in messages %}[{{ m.content }}</s>{% endfor %}", turns)).toBe("[ a \n</s>[⟦\n b </s>⟧");
  });

  it("puts a system message before the first question when the template refuses or drops it", () => {
    const turns = [textTurn("system", "Be brief."), ...rounds];
    const refuses =
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}[{{ m.content }}</s>{% endfor %}";
    const drops = "{% for m in messages if m.role != 'system' %}[{{ m.content }}</s>{% endfor %}";
    for (const source of [refuses, drops]) expect(written(source, turns)).toBe("[Be brief.\n\nHi.</s>[⟦Ho.</s>⟧");
  });

  it("learns the white space before the end token, and nothing after it", () => {
    const source =
      "{% for m in messages %}{% if m.role == 'user' %}Q {{ m.content }} A{% else %} {{ m.content }} </s>\n{% endif %}{% endfor %}<|im_end|>";
    expect(written(source, [...rounds, ...rounds])).toBe("Q Hi. A⟦ Ho. </s>⟧\nQ Hi. A⟦ Ho. </s>⟧\n<|im_end|>");
  });

  it("writes a model's opening words before the answer into the prompt", () => {
    const source =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if loop.last %}<think>\n\n</think>\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}";
    const template = modelTemplate(bytes, source, "t");
    const prompt = encodePrompt(bytes, template, rounds.slice(0, 1));
    expect(bytes.decode(prompt.ids)).toBe(
      "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n",
    );
    expect([...encodeConversation(bytes, template, rounds).ids.subarray(0, prompt.ids.length)]).toEqual([
      ...prompt.ids,
    ]);
  });

  it.each([
    ["no end token", "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "TEMPLATE_END"],
    ["words before the end token", "{% for m in messages %}{{ m.content }} over </s>{% endfor %}", "TEMPLATE_END"],
    ["words changed", "{% for m in messages %}{{ m.content | upper }}</s>{% endfor %}", "TEMPLATE_CONTENT"],
    ["words twice", "{% for m in messages %}{{ m.content }}{{ m.content }}</s>{% endfor %}", "TEMPLATE_CONTENT"],
    ["no words", "fixed", "TEMPLATE_CONTENT"],
  ])("refuses a template with %s", (_, source, code) => {
    expect(() => written(source, rounds)).toThrow(expect.objectContaining({ code }));
  });

  it("refuses a template that draws another number of pictures", () => {
    const blind =
      "{% for m in messages %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] }}</s>{% endfor %}{% endfor %}";
    const turns: ChatTurn[] = [
      { role: "user", content: partsOf("<image>\nWhat?", 1) },
      textTurn("assistant", "A dog."),
    ];
    expect(() => written(blind, turns)).toThrow(InputError);
  });

  it("finds the template in the tokenizer's config", () => {
    expect(chatTemplateOf({ chat_template: "a" })).toBe("a");
    expect(
      chatTemplateOf({
        chat_template: [
          { name: "tool_use", template: "b" },
          { name: "default", template: "c" },
        ],
      }),
    ).toBe("c");
    for (const none of [{}, null, { chat_template: 3 }, { chat_template: [{ name: "default" }] }])
      expect(chatTemplateOf(none)).toBeUndefined();
  });
});
