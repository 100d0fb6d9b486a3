// A chat's prompts, its text, and how answers end: with a scripted generator, so that every id is known.
import { describe, expect, it } from "vitest";
import { InputError } from "../errors.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import { tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { templateNamed } from "../text/templates.ts";
import { type Assistant, type Picture, userTurn } from "./assistant.ts";
import { createChat } from "./chat.ts";
import type { Generation, GenerationRequest } from "./generation.ts";
import type { PictureTokens } from "./generation.ts";
import { tinyConfig } from "./tiny-model.fixture.ts";

const tokenizer = tinyTokenizer("bytes");
const end = tokenizer.controlId("<|im_end|>")!;
const image = tokenizer.controlId("<image>")!;

/** An assistant whose generator says the given ids, one list after the other, and remembers its requests. */
function scripted(answers: number[][], { template = "chatml", sees = true } = {}) {
  const requests: GenerationRequest[] = [];
  const read: string[] = [];
  const generate = async (request: GenerationRequest): Promise<Generation> => {
    requests.push(request);
    const ids: number[] = [];
    let finishReason: Generation["finishReason"] = "length";
    for (const id of answers[requests.length - 1] ?? []) {
      if (request.signal?.aborted) finishReason = "interrupted";
      if (finishReason === "interrupted" || ids.length === request.maxNewTokens) break;
      ids.push(id);
      if (request.onToken?.(id) === true || request.stopIds.includes(id)) {
        finishReason = "stop";
        break;
      }
    }
    return { ids, finishReason, promptTokens: request.prompt.ids.length, cachedTokens: 0 };
  };
  const reader = {
    tokens: 3,
    read: async (key: string): Promise<PictureTokens> => {
      read.push(key);
      return { key, rows: new Float32Array(3) };
    },
    release: async () => {},
  };
  const preprocessor = parsePreprocessor({ image_processor_type: "CLIPImageProcessor" }, "test");
  const assistant: Assistant = {
    generator: { config: tinyConfig(), generate, reset() {}, release: async () => {} },
    tokenizer,
    template: templateNamed(template),
    endIds: [],
    where: "test-model",
    release: async () => {},
    ...(sees && { sight: { reader, preprocessor, imageTokenId: image } }),
  };
  return { assistant, requests, read };
}

const say = (text: string): number[] => [...tokenizer.encode(text), end];
const promptText = ({ prompt }: GenerationRequest): string => tokenizer.decode(prompt.ids as Int32Array);
const picture = (key: string): Picture => ({ key, pixels: { width: 1, height: 1, data: new Uint8Array(3) } });

describe("a chat", () => {
  it("tells each question what was said before", async () => {
    const { assistant, requests } = scripted([say("Blue."), say("Yes.")]);
    const chat = createChat(assistant, "Be short.");
    await chat.ask("What colour?", []);
    expect((await chat.ask("Sure?", [])).text).toBe("Yes.");
    const turn = (role: string, text: string): string => `<|im_start|>${role}\n${text}<|im_end|>\n`;
    const before = turn("system", "Be short.") + turn("user", "What colour?") + turn("assistant", "Blue.");
    expect(promptText(requests[1]!)).toBe(`${before}${turn("user", "Sure?")}<|im_start|>assistant\n`);
    chat.clear();
    expect(chat.exchanges).toEqual([]);
    await chat.ask("Sure?", []);
    expect(promptText(requests[2]!)).toBe(
      `${turn("system", "Be short.")}${turn("user", "Sure?")}<|im_start|>assistant\n`,
    );
  });

  it("puts each picture where its marker stands, also those of earlier turns", async () => {
    const { assistant, requests, read } = scripted([say("Two cats."), say("A dog.")]);
    const chat = createChat(assistant);
    await chat.ask("Who?", [picture("a"), picture("b")]);
    await chat.ask("And here?", [picture("c")]);
    expect(read).toEqual(["a", "b", "a", "b", "c"]);
    const { ids, pictures = [] } = requests[1]!.prompt;
    expect(pictures.map(({ picture: { key } }) => key)).toEqual(["a", "b", "c"]);
    for (const { start, count } of pictures)
      expect([...(ids as Int32Array)].slice(start, start + count)).toEqual([image, image, image]);
    const shown = "<image><image><image>";
    const asked = promptText(requests[1]!);
    expect(asked).toContain(`<|im_start|>user\n${shown}\n${shown}\nWho?<|im_end|>`);
    expect(asked).toContain(`<|im_start|>user\n${shown}\nAnd here?<|im_end|>`);
  });

  it("keeps what an interrupted answer came to, and forgets a question that failed", async () => {
    const { assistant, requests } = scripted([say("one two three"), say("x")]);
    const chat = createChat(assistant);
    const control = new AbortController();
    const onText = (): void => control.abort();
    const answer = await chat.ask("Count.", [], { signal: control.signal, onText });
    expect(answer.finish_reason).toBe("interrupted");
    expect("one two three").toContain(answer.text);
    expect(chat.exchanges).toHaveLength(1);
    await expect(chat.ask("Again?", [], { temperature: -1 })).rejects.toThrow(InputError);
    expect(chat.exchanges).toHaveLength(1);
    expect(requests).toHaveLength(1);
  });

  it("asks the last question anew in place of its answer, and goes on from what was said elsewhere", async () => {
    const { assistant, requests } = scripted([say("One."), say("Two."), say("Three.")]);
    const chat = createChat(assistant);
    expect(chat.retry()).toBeUndefined();
    await chat.ask("Who?", [picture("a")]);
    expect((await chat.retry({ seed: 1 }))!.text).toBe("Two.");
    expect(promptText(requests[1]!)).toBe(promptText(requests[0]!));
    expect(chat.exchanges).toMatchObject([{ question: "Who?", answer: "Two.", pictures: [{ key: "a" }] }]);
    await expect(chat.retry({ temperature: -1 })).rejects.toThrow(InputError);
    expect(chat.exchanges).toMatchObject([{ answer: "Two." }]);

    const other = createChat(assistant);
    other.restore(chat.exchanges);
    other.system = "Be short.";
    await other.ask("Sure?", []);
    const asked = promptText(requests[2]!);
    expect(asked).toMatch(/^<\|im_start\|>system\nBe short\./);
    expect(asked).toContain("Who?<|im_end|>\n<|im_start|>assistant\nTwo.<|im_end|>");
  });

  it("refuses pictures for a model without vision", async () => {
    const { assistant } = scripted([], { sees: false });
    const ask = createChat(assistant).ask("Who?", [picture("a")]);
    await expect(ask).rejects.toMatchObject({ code: "MODEL_TEXT_ONLY", exitCode: 2 });
  });
});

describe("an answer", () => {
  it("streams what it says, whole characters only, and counts its tokens", async () => {
    const text = "Ein Bär läuft 🐻 weg.";
    const { assistant } = scripted([say(text)]);
    const shown: string[] = [];
    const answer = await createChat(assistant).ask("?", [], { onText: (fresh) => shown.push(fresh) });
    expect(shown.join("")).toBe(text);
    expect(shown.every((piece) => !piece.includes("\uFFFD"))).toBe(true);
    expect(shown.length).toBeGreaterThan(5);
    expect(answer).toMatchObject({
      text,
      token_ids: say(text),
      completion_tokens: say(text).length,
      finish_reason: "stop",
    });
    expect(answer.prompt_tokens).toBeGreaterThan(3);
    expect(answer.seconds).toBeGreaterThan(0);
  });

  it("ends at the most tokens asked for", async () => {
    const { assistant } = scripted([say("one two three four")]);
    const answer = await createChat(assistant).ask("?", [], { maxNewTokens: 2 });
    expect([answer.completion_tokens, answer.finish_reason]).toEqual([2, "length"]);
  });

  it("ends at a stop text, and with the template plain at the end of the line", async () => {
    const stopped = scripted([say("Yes. It is.")]);
    expect(await createChat(stopped.assistant).ask("?", [], { stopTexts: ["."] })).toMatchObject({
      text: "Yes",
      finish_reason: "stop",
    });
    const caption = scripted([tokenizer.encode("A dog.\nMore")], { template: "plain" });
    expect((await createChat(caption.assistant).ask("", [picture("a")])).text).toBe("A dog.");
  });
});

it("shows pictures before the words, one a line", () => {
  expect(userTurn("Who?", 0).content).toEqual([{ type: "text", text: "Who?" }]);
  expect(userTurn("", 0).content).toEqual([]);
  expect(userTurn("Who?", 1).content).toEqual([{ type: "image" }, { type: "text", text: "\nWho?" }]);
});
