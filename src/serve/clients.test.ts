// The clients that people have: OpenAI's own, the AI SDK's, and plain HTTP, each over a real socket.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { tinyPicture } from "../../test/tiny-llava.ts";
import { answerTurns, userTurn } from "../generate/assistant.ts";
import { openTinyServers, type TinyServers } from "./tiny-server.fixture.ts";

const key = "sk-tiny";
let tiny: TinyServers;
let url: string;
let openai: OpenAI;
beforeAll(async () => {
  tiny = await openTinyServers();
  ({ url } = await tiny.start({ keys: ["another", key] }));
  openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
});
afterAll(async () => {
  expect(tiny.internal).toEqual([]);
  await tiny.end();
});

const ask = (content: OpenAI.ChatCompletionUserMessageParam["content"]) =>
  [{ role: "user", content }] satisfies OpenAI.ChatCompletionMessageParam[];

it("answers the official client as llava chat answers", async () => {
  const { tokenizer } = tiny.model.assistant;
  const expected = await answerTurns(tiny.model.assistant, [userTurn("What?", 0)], [], { maxNewTokens: 9 });
  const { data, response } = await openai.chat.completions
    .create({ model: "tiny", messages: ask("What?"), max_completion_tokens: 9 })
    .withResponse();
  const [choice] = data.choices;
  expect(choice).toMatchObject({ index: 0, finish_reason: "length", message: { role: "assistant", refusal: null } });
  expect(choice!.message.content).toBe(expected.text);
  expect(tokenizer.decode(expected.token_ids).trim()).toBe(expected.text);
  expect(data.usage).toMatchObject({
    prompt_tokens: expected.prompt_tokens,
    completion_tokens: 9,
    total_tokens: expected.prompt_tokens + 9,
  });
  expect(response.headers.get("x-request-id")).toMatch(/^req_/);
});

it("streams the same text, with usage where it is asked for", async () => {
  const request = { model: "tiny", messages: ask("Who?"), max_tokens: 12 };
  const whole = await openai.chat.completions.create(request);
  const stream = await openai.chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
  expect(text).toBe(whole.choices[0]!.message.content);
  expect(chunks[0]!.choices[0]!.delta).toEqual({ role: "assistant", content: "" });
  expect(new Set(chunks.map(({ id, object }) => `${id} ${object}`)).size).toBe(1);
  const last = chunks.at(-1)!;
  expect(last.choices).toEqual([]);
  expect(last.usage).toMatchObject({ completion_tokens: 12, prompt_tokens: whole.usage!.prompt_tokens });
  expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  expect(chunks.at(-2)!.choices[0]).toMatchObject({ delta: {}, finish_reason: "length" });
});

it("sees pictures, and knows them again", async () => {
  const show = async (...seeds: number[]) => {
    const pictures = await Promise.all(seeds.map((seed) => tinyPicture(seed)));
    const parts = pictures.map((image) => ({ type: "image_url" as const, image_url: { url: image } }));
    const content = [{ type: "text" as const, text: "What is this?" }, ...parts];
    return openai.chat.completions.create({ model: "tiny", messages: ask(content), max_tokens: 8 });
  };
  const [one, two] = [await show(1), await show(1, 2)];
  const again = await show(1);
  expect(one.usage!.prompt_tokens_details).toMatchObject({ image_tokens: 4 });
  expect(two.usage!.prompt_tokens_details).toMatchObject({ image_tokens: 8 });
  expect(again.choices[0]!.message.content).toBe(one.choices[0]!.message.content);
  // all but the last, whose logits are wanted
  expect(again.usage!.prompt_tokens_details!.cached_tokens).toBe(again.usage!.prompt_tokens - 1);
});

it("draws: seeds, n, stop texts, log probabilities that add up", async () => {
  const request = { model: "tiny", messages: ask("Say"), max_tokens: 10, temperature: 1.5, seed: 5 };
  const create = (more: object) =>
    openai.chat.completions.create({ ...request, ...more }) as Promise<OpenAI.ChatCompletion>;
  const [first, again, other, many] = await Promise.all([
    create({}),
    create({}),
    create({ seed: 6 }),
    create({ n: 3, logprobs: true, top_logprobs: 4 }),
  ]);
  const text = first.choices[0]!.message.content!;
  expect(again.choices[0]!.message.content).toBe(text);
  expect(other.choices[0]!.message.content).not.toBe(text);
  expect(many.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
  expect(many.choices.map(({ message }) => message.content).slice(0, 2)).toEqual([
    text,
    other.choices[0]!.message.content,
  ]);
  expect(many.usage!.completion_tokens).toBe(30);
  for (const { logprobs } of many.choices) {
    expect(logprobs!.content).toHaveLength(10);
    for (const { logprob, top_logprobs: top } of logprobs!.content!) {
      expect(top).toHaveLength(4);
      expect(logprob).toBeLessThanOrEqual(top[0]!.logprob);
      expect(top.map((each) => each.logprob)).toEqual(top.map((each) => each.logprob).sort((a, b) => b - a));
      expect(top.reduce((sum, each) => sum + Math.exp(each.logprob), 0)).toBeLessThanOrEqual(1 + 1e-6);
    }
  }
  const [greedy, likeliest, penalised] = await Promise.all(
    [{ temperature: 0 }, { min_p: 1 }, { temperature: 0, repetition_penalty: 5 }].map(create),
  );
  const said = (answer: OpenAI.ChatCompletion) => answer.choices[0]!.message.content;
  expect(said(likeliest!)).toBe(said(greedy!));
  expect(said(penalised!)).not.toBe(said(greedy!));
  const middle = [...text].slice(3, 5).join("");
  const stopped = await create({ stop: ["never said", middle] });
  expect(stopped.choices[0]!.finish_reason).toBe("stop");
  expect(stopped.choices[0]!.message.content).toBe(text.slice(0, text.indexOf(middle)).trimEnd());
});

it("holds answers to a schema, whatever the model would say", async () => {
  const schema = {
    type: "object",
    properties: {
      colour: { enum: ["red", "green"] },
      things: { type: "array", items: { type: "boolean" }, maxItems: 3 },
    },
    required: ["colour", "things"],
    additionalProperties: false,
  };
  const response_format = { type: "json_schema" as const, json_schema: { name: "seen", strict: true, schema } };
  const request = { model: "tiny", messages: ask("Tell."), temperature: 1, max_tokens: 200, n: 4, response_format };
  const { choices } = await openai.chat.completions.create(request);
  for (const { message, finish_reason: reason } of choices) {
    const value = JSON.parse(message.content!) as { colour: string; things: unknown[] };
    expect(["red", "green"]).toContain(value.colour);
    expect(value.things.length).toBeLessThanOrEqual(3);
    expect(reason).toBe("stop");
  }
  const refused = {
    ...request,
    response_format: { ...response_format, json_schema: { name: "a", schema: { pattern: "a" } } },
  };
  await expect(openai.chat.completions.create(refused)).rejects.toMatchObject({ status: 400, code: "json_schema" });
});

it("lists models, and refuses in words that the client understands", async () => {
  const models = await openai.models.list();
  expect(models.data).toMatchObject([{ id: "tiny", object: "model" }]);
  expect(await openai.models.retrieve("tiny")).toMatchObject({ id: "tiny" });
  await expect(openai.models.retrieve("none")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  const wrong = new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong" });
  await expect(wrong.models.list()).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });
  const refused = (more: object) =>
    openai.chat.completions.create({ model: "tiny", messages: ask("x"), ...more } as OpenAI.ChatCompletionCreateParams);
  await expect(refused({ model: "gpt" })).rejects.toMatchObject({ status: 404, param: "model" });
  await expect(refused({ temperature: 9 })).rejects.toMatchObject({ status: 400, param: "temperature" });
  await expect(refused({ repetition_penalty: 0 })).rejects.toMatchObject({ status: 400, param: "repetition_penalty" });
  await expect(refused({ n: 99 })).rejects.toMatchObject({ status: 400, param: "n" });
  await expect(refused({ max_tokens: 1e6 })).rejects.toMatchObject({ status: 400 });
  await expect(refused({ messages: ask("word ".repeat(3000)) })).rejects.toMatchObject({
    status: 400,
    code: "context_length_exceeded",
  });
  for (const more of [
    { frequency_penalty: 1 },
    { tools: [{ type: "function", function: { name: "f" } }] },
    { logit_bias: { 5: 100 } },
    { chat_template: "{{ 1 }}" },
  ]) {
    await expect(refused(more)).rejects.toMatchObject({ status: 400, code: "unsupported_parameter" });
  }
});

it("works with the AI SDK", async () => {
  const provider = createOpenAICompatible({ name: "llava", baseURL: `${url}/v1`, apiKey: key, includeUsage: true });
  const model = provider("tiny");
  const image = Buffer.from((await tinyPicture(1)).split(",")[1]!, "base64");
  const messages = [
    {
      role: "user" as const,
      content: [
        { type: "text" as const, text: "What?" },
        { type: "image" as const, image },
      ],
    },
  ];
  const whole = await generateText({ model, messages, maxOutputTokens: 7 });
  const stream = streamText({ model, messages, maxOutputTokens: 7 });
  let text = "";
  for await (const part of stream.textStream) text += part;
  expect(text).toBe(whole.text);
  expect(whole.finishReason).toBe("length");
  expect(await stream.usage).toMatchObject({ outputTokens: 7, inputTokens: whole.usage.inputTokens });
});
