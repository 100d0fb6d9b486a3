// Conversations as ids: the formats of LLaVA, what is learned, and that a prompt is a prefix of what was trained.
import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { InputError } from "../errors.ts";
import { imagesIn, partsOf, textTurn, turnsOf, type ChatTurn } from "./conversation.ts";
import { encodeConversation, encodePrompt, IMAGE_PLACEHOLDER, stopIds, type Encoded } from "./encode.ts";
import { chatTemplateSource } from "./layout-jinja.ts";
import { layouts } from "./layouts.ts";
import { chatTemplateOf, modelTemplate } from "./model-template.ts";
import type { Template } from "./segments.ts";
import { requireControls, templateNamed, templates } from "./templates.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { golden, labTokenizer, tinyTokenizer, tokenizers } from "./tokenizers.fixture.ts";

const { Q1, A1, Q2, A2 } = golden.said;
const twoRounds: ChatTurn[] = [
  { role: "user", content: partsOf(`<image>\n${Q1}`, 1) },
  textTurn("assistant", A1),
  textTurn("user", Q2),
  textTurn("assistant", A2),
];

/** The row as text, learned stretches in ⟦brackets⟧, pictures as ▣. */
function shown(tokenizer: Tokenizer, { ids, learned }: Encoded): string {
  let text = "";
  let run: number[] = [];
  const flush = (isLearned: boolean): void => {
    if (run.length > 0) text += isLearned ? `⟦${tokenizer.decode(run)}⟧` : tokenizer.decode(run);
    run = [];
  };
  for (const [i, id] of ids.entries()) {
    if (i > 0 && learned[i] !== learned[i - 1]) flush(learned[i - 1] === 1);
    if (id === IMAGE_PLACEHOLDER) {
      flush(false);
      text += "▣";
    } else run.push(id);
  }
  flush(learned.at(-1) === 1);
  return text;
}

function fits(template: Template, tokenizer: Tokenizer): boolean {
  try {
    requireControls(template, tokenizer);
    return true;
  } catch {
    return false;
  }
}

/** Shipped templates and chat templates of every shape, for one tokenizer. */
function templatesFor(tokenizer: Tokenizer): [string, Template][] {
  const shipped = Object.entries(templates).filter(([, template]) => fits(template, tokenizer));
  const models = Object.entries(golden.jinja)
    .filter(([, source]) => !source.includes("im_start") || tokenizer.controlId("<|im_start|>") !== undefined)
    .map(([shape, source]): [string, Template] => [`model: ${shape}`, modelTemplate(tokenizer, source, shape)]);
  return [...shipped, ...models];
}

describe("reference strings", () => {
  const bytes = tinyTokenizer("bytes");
  const sys =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.";
  const sys2 =
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of tasks using natural language.";
  it.each([
    ["vicuna_v1", `${sys} USER: ▣\n${Q1} ASSISTANT:⟦ ${A1}</s>⟧USER: ${Q2} ASSISTANT:⟦ ${A2}</s>⟧`],
    [
      "llava_llama_2",
      `[INST] <<SYS>>\n${sys2}\n<</SYS>>\n\n▣\n${Q1} [/INST]⟦ ${A1} </s>⟧[INST] ${Q2} [/INST]⟦ ${A2} </s>⟧`,
    ],
    ["mistral", `[INST] ▣\n${Q1} [/INST]⟦ ${A1} </s>⟧[INST] ${Q2} [/INST]⟦ ${A2} </s>⟧`],
    [
      "chatml",
      `<|im_start|>user\n▣\n${Q1}<|im_end|>\n<|im_start|>assistant\n⟦${A1}<|im_end|>⟧\n<|im_start|>user\n${Q2}<|im_end|>\n<|im_start|>assistant\n⟦${A2}<|im_end|>⟧\n`,
    ],
    [
      "chatml_direct",
      `<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n▣\n${Q1}<|im_end|><|im_start|>assistant\n⟦${A1}<|im_end|>⟧<|im_start|>user\n${Q2}<|im_end|><|im_start|>assistant\n⟦${A2}<|im_end|>⟧`,
    ],
  ])("%s", (name, expected) => {
    expect(shown(bytes, encodeConversation(bytes, templateNamed(name), twoRounds))).toBe(expected);
  });

  it("plain: the picture, the caption and a newline, without the question and without EOS", () => {
    const encoded = encodeConversation(bytes, templateNamed("plain"), twoRounds.slice(0, 2));
    expect(shown(bytes, encoded)).toBe(`▣⟦${A1}\n⟧`);
    const pieces = tinyTokenizer("pieces_first");
    expect(shown(pieces, encodeConversation(pieces, templateNamed("plain"), twoRounds.slice(0, 2)))).toBe(
      `<s>▣⟦${A1}\n⟧`,
    );
    expect(() => encodeConversation(bytes, templateNamed("plain"), twoRounds)).toThrow(
      expect.objectContaining({ code: "TEMPLATE_TURNS" }),
    );
  });

  it("llava_llama_2 begins each round with BOS where the tokenizer adds one", () => {
    const pieces = tinyTokenizer("pieces_first");
    const text = shown(pieces, encodeConversation(pieces, templateNamed("llava_llama_2"), twoRounds));
    expect(text).toMatch(/^<s> ?\[INST\] <<SYS>>/u);
    expect(text).toContain(`</s>⟧<s>[INST] ${Q2} [/INST]`);
  });

  it("a system message takes the place of the template's own; mistral puts it before the first question", () => {
    const turns = [textTurn("system", "Be brief."), textTurn("user", Q1), textTurn("assistant", A1)];
    const of = (name: string): string => shown(bytes, encodeConversation(bytes, templateNamed(name), turns));
    expect(of("vicuna_v1")).toBe(`Be brief. USER: ${Q1} ASSISTANT:⟦ ${A1}</s>⟧`);
    expect(of("mistral")).toBe(`[INST] Be brief.\n\n${Q1} [/INST]⟦ ${A1} </s>⟧`);
    expect(of("llava_llama_2")).toBe(`[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n${Q1} [/INST]⟦ ${A1} </s>⟧`);
    expect(of("chatml")).toBe(
      `<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n${Q1}<|im_end|>\n<|im_start|>assistant\n⟦${A1}<|im_end|>⟧\n`,
    );
  });
});

// TinyStories has pieces across spaces (":▁"); the seam between prompt and answer, which we never cross, cuts them
const crossesSpaces = (name: string, template: string): boolean =>
  name.startsWith("tinystories") && ["vicuna_v1", "drops the system message"].includes(template);

describe.each(tokenizers.filter(([name]) => name !== "words"))("%s", (name, tokenizer) => {
  const expected = golden.tokenizers[name]!;

  it("gives the ids that Hugging Face's tokenizers gives for LLaVA's strings", () => {
    const names = Object.keys(expected.conversations!).filter((template) => !crossesSpaces(name, template));
    expect(names.length).toBeGreaterThanOrEqual(2);
    for (const template of names) {
      const { ids } = encodeConversation(tokenizer, templateNamed(template), twoRounds);
      expect([...ids], template).toEqual(expected.conversations![template]);
    }
  });

  it("gives the ids that transformers' apply_chat_template gives, prompt and conversation", () => {
    const turns = [textTurn("user", Q1), ...twoRounds.slice(1)];
    const shapes = Object.entries(expected.jinja!).filter(([shape]) => !crossesSpaces(name, shape));
    expect(shapes.length).toBeGreaterThanOrEqual(1);
    for (const [shape, [prompt, whole]] of shapes) {
      const template = modelTemplate(tokenizer, golden.jinja[shape]!, shape);
      expect([...encodePrompt(tokenizer, template, turns.slice(0, 3)).ids], shape).toEqual(prompt);
      expect([...encodeConversation(tokenizer, template, turns).ids], shape).toEqual(whole);
    }
  });
});

const words = fc
  .array(
    fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 6 }),
      fc.constantFrom(" ", "\n", "</s>", "<image>", "<|im_end|>", " ASSISTANT: ", "[/INST]", "a dog", "{{ 1 }}"),
    ),
    {
      maxLength: 5,
    },
  )
  .map((parts) => parts.join(""));
const question = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: words.map((text) => ({ type: "text", text }) as const) },
    fc.constant({ type: "image" } as const),
  ),
  {
    minLength: 1,
    maxLength: 3,
  },
);
const conversation = fc
  .tuple(fc.option(words, { nil: undefined }), fc.array(fc.tuple(question, words), { minLength: 1, maxLength: 3 }))
  .map(([system, rounds]): ChatTurn[] => [
    ...(system === undefined ? [] : [textTurn("system", system)]),
    ...rounds.flatMap(([content, answer]): ChatTurn[] => [{ role: "user", content }, textTurn("assistant", answer)]),
  ]);

describe.each(tokenizers)("properties with %s", (tokenizerName, tokenizer) => {
  // whole words have none for a newline: nothing would be learned of an empty caption
  const cases = templatesFor(tokenizer).filter(([name]) => !(name === "plain" && tokenizerName === "words"));

  it.each(cases)("%s: each prompt is an exact prefix, and the rest begins learned", (name, template) => {
    fc.assert(
      fc.property(conversation, (turns) => {
        const all = name === "plain" ? turns.filter((turn) => turn.role !== "system").slice(0, 2) : turns;
        const whole = encodeConversation(tokenizer, template, all);
        expect(whole.images).toBe(imagesIn(all));
        expect(whole.ids.filter((id) => id === IMAGE_PLACEHOLDER)).toHaveLength(whole.images);
        for (let end = 1; end <= all.length; end++) {
          if (all[end]?.role !== "assistant") continue;
          const prompt = encodePrompt(tokenizer, template, all.slice(0, end));
          expect([...whole.ids.subarray(0, prompt.ids.length)]).toEqual([...prompt.ids]);
          expect(whole.learned[prompt.ids.length]).toBe(1);
          expect(whole.learned[prompt.ids.length - 1] ?? 0).toBe(0);
        }
      }),
      { numRuns: 20 },
    );
  });

  it.each(cases.filter(([name]) => name !== "plain"))(
    "%s: as many learned ends as answers, each the last of its run",
    (_, template) => {
      fc.assert(
        fc.property(conversation, (turns) => {
          const { ids, learned } = encodeConversation(tokenizer, template, turns);
          const runs = [...ids.keys()].filter((i) => learned[i] === 1 && learned[i + 1] !== 1);
          const ends = [tokenizer.eos?.id, tokenizer.controlId("<|im_end|>")];
          expect(runs).toHaveLength(turns.filter((turn) => turn.role === "assistant").length);
          for (const i of runs) expect(ends).toContain(ids[i]);
          // nothing that was typed is an end token: all that are learned close a run
          expect([...ids.keys()].filter((i) => learned[i] === 1 && ends.includes(ids[i]))).toEqual(runs);
        }),
        { numRuns: 20 },
      );
    },
  );
});

describe.each(tokenizers)("shipped templates as Jinja with %s", (_, tokenizer) => {
  it.each(Object.keys(layouts).filter((name) => fits(templateNamed(name), tokenizer)))(
    "%s gives the same ids and mask",
    (name) => {
      const bos = tokenizer.addsBos ? 1 : 0;
      const template = modelTemplate(tokenizer, chatTemplateSource(name, tokenizer.addsBos)!, name);
      fc.assert(
        fc.property(conversation, (turns) => {
          const shipped = encodeConversation(tokenizer, templateNamed(name), turns);
          const rendered = encodeConversation(tokenizer, template, turns);
          expect([...rendered.ids]).toEqual([...shipped.ids.subarray(bos)]);
          expect([...rendered.learned]).toEqual([...shipped.learned.subarray(bos)]);
        }),
        { numRuns: 20 },
      );
    },
  );
});

it("an answer is over at the template's end token, or at EOS", () => {
  const bytes = tinyTokenizer("bytes");
  const stops = (name: string): string[] => stopIds(bytes, templateNamed(name)).map((id) => bytes.decode([id]));
  expect(stops("vicuna_v1")).toEqual(["</s>"]);
  expect(stops("chatml")).toEqual(["<|im_end|>", "</s>"]);
  expect(stops("plain")).toEqual(["\n", "</s>"]);
});

describe("learned is the answer and its end, nothing else", () => {
  const bytes = tinyTokenizer("bytes");

  it.each(templatesFor(bytes).filter(([name]) => name !== "plain"))("%s", (_, template) => {
    fc.assert(
      fc.property(conversation, (turns) => {
        const { ids, learned } = encodeConversation(bytes, template, turns);
        const text = bytes.decode([...ids].filter((_, i) => learned[i] === 1));
        const answers = turns
          .filter((turn) => turn.role === "assistant")
          .map(({ content }) => (content[0]?.type === "text" ? content[0].text : ""));
        // templates differ in white space around the answer
        expect(text.replace(/<\/s>|<\|im_end\|>|\s+/gu, "")).toBe(
          answers.join("").replace(/<\/s>|<\|im_end\|>|\s+/gu, ""),
        );
      }),
    );
  });

  it("an empty answer is its end token alone", () => {
    const turns = [textTurn("user", Q1), textTurn("assistant", ""), textTurn("user", Q2), textTurn("assistant", A2)];
    for (const [name, template] of templatesFor(bytes)) {
      if (name === "plain") continue;
      const { ids, learned } = encodeConversation(bytes, template, turns);
      const first = learned.indexOf(1);
      expect(["</s>", "<|im_end|>"], name).toContain(bytes.decode([ids[first]!]));
      expect(learned[first + 1], name).toBe(0);
    }
  });
});

describe("errors", () => {
  const bytes = tinyTokenizer("bytes");
  const encode = (turns: ChatTurn[]): Encoded => encodeConversation(bytes, templateNamed("chatml"), turns);

  it.each<[string, ChatTurn[], string]>([
    ["no turns", [], "no turn"],
    ["the assistant first", [textTurn("assistant", "a")], "turn 1"],
    ["two questions", [textTurn("user", "a"), textTurn("user", "b")], "turn 2"],
    ["a question last", [textTurn("user", "a"), textTurn("assistant", "b"), textTurn("user", "c")], "turn 3"],
    ["a system message in the middle", [textTurn("user", "a"), textTurn("system", "b")], "turn 2"],
    ["a system message alone", [textTurn("system", "b")], "no turn"],
    [
      "a picture in an answer",
      [textTurn("user", "a"), { role: "assistant", content: [{ type: "image" }] }],
      "a picture in a turn of the assistant",
    ],
  ])("refuses %s", (_, turns, said) => {
    expect(() => encode(turns)).toThrow(InputError);
    expect(() => encode(turns)).toThrow(
      expect.objectContaining({ code: "CONVERSATION_ROLES", message: expect.stringContaining(said) }),
    );
  });

  it("a prompt ends with a question", () => {
    expect(() => encodePrompt(bytes, templateNamed("chatml"), twoRounds)).toThrow(
      expect.objectContaining({ code: "CONVERSATION_ROLES" }),
    );
  });

  it("an unknown template names those there are", () => {
    for (const name of ["vicuna", "toString", "__proto__"]) {
      expect(() => templateNamed(name)).toThrow(
        expect.objectContaining({ code: "TEMPLATE_UNKNOWN", message: expect.stringContaining("vicuna_v1") }),
      );
    }
  });

  it("a tokenizer without the template's control tokens: which are missing, and what fits", () => {
    const pieces = tinyTokenizer("pieces_first");
    const check = (): void => requireControls(templateNamed("chatml"), pieces);
    expect(check).toThrow(InputError);
    expect(check).toThrow(
      /<\|im_end\|>, <\|im_start\|>.*use a template that fits: plain, vicuna_v1, llava_llama_2, mistral$/u,
    );
    expect(() => encodeConversation(pieces, templateNamed("chatml"), twoRounds)).toThrow(
      expect.objectContaining({ code: "TEMPLATE_CONTROLS" }),
    );
    for (const name of ["plain", "vicuna_v1", "chatml"]) requireControls(templateNamed(name), bytes);
  });
});

describe("LLaVA's strings", () => {
  it("splits at as many markers as there are pictures", () => {
    const image = { type: "image" };
    expect(partsOf("<image>\nWhat?", 1)).toEqual([image, { type: "text", text: "\nWhat?" }]);
    expect(partsOf("What?\n<image>", 1)).toEqual([{ type: "text", text: "What?\n" }, image]);
    expect(partsOf("<image><image> and <image>", 2)).toEqual([image, image, { type: "text", text: " and <image>" }]);
    expect(partsOf("a <image> b", 0)).toEqual([{ type: "text", text: "a <image> b" }]);
    expect(partsOf("", 0)).toEqual([]);
    expect(() => partsOf("<image> b", 2)).toThrow(expect.objectContaining({ code: "IMAGE_MARKERS" }));
  });

  it("binds pictures to the human's markers in order; markers in answers are text", () => {
    const turns = turnsOf(
      [
        { from: "human", value: "<image>\na" },
        { from: "gpt", value: "<image> b" },
        { from: "human", value: "<image> c <image>" },
        { from: "gpt", value: "d" },
      ],
      2,
    );
    expect(
      turns.map((turn) => [turn.role, turn.content.map((part) => (part.type === "text" ? part.text : part.type))]),
    ).toEqual([
      ["user", ["image", "\na"]],
      ["assistant", ["<image> b"]],
      ["user", ["image", " c <image>"]],
      ["assistant", ["d"]],
    ]);
    expect(() => turnsOf([{ from: "human", value: "no marker" }], 1)).toThrow(
      expect.objectContaining({ code: "IMAGE_MARKERS" }),
    );
  });
});

// needs the lab's shared folder
describe.skipIf(!lab.present)("SmolLM2", () => {
  it("its own template gives the golden's prompts", () => {
    const read = (file: string): string => readFileSync(lab.path(`models/smollm2-135m-instruct/${file}`), "utf8");
    const tokenizer = labTokenizer("smollm2-135m-instruct");
    const source = chatTemplateOf(JSON.parse(read("tokenizer_config.json")))!;
    expect(source).toBe(read("chat_template.jinja"));
    const { chat } = JSON.parse(read("golden.json"));
    expect(chat.length).toBeGreaterThan(0);
    for (const { user, prompt_ids } of chat) {
      const prompt = encodePrompt(tokenizer, modelTemplate(tokenizer, source, "chat_template.jinja"), [
        textTurn("user", user),
      ]);
      expect([...prompt.ids]).toEqual(prompt_ids);
    }
  });
});
