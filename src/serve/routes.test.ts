// The routes besides chat completions: responses, tokens, measurements, the description.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { tinyPicture } from "../../test/tiny-llava.ts";
import { writeTurns, userTurn } from "../generate/assistant.ts";
import { metric, openTinyServers, type TinyServers } from "./tiny-server.fixture.ts";

let tiny: TinyServers;
let url: string;
let openai: OpenAI;
beforeAll(async () => {
  tiny = await openTinyServers();
  ({ url } = await tiny.start({ version: "1.2.3" }));
  openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
});
afterAll(async () => {
  expect(tiny.internal).toEqual([]);
  await tiny.end();
});

async function post(path: string, body: object): Promise<Record<string, unknown>> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  return (await response.json()) as Record<string, unknown>;
}

it("answers the responses API as it answers chats, with pictures, streamed or not", async () => {
  const image_url = await tinyPicture(3);
  const content = [
    { type: "input_image" as const, image_url, detail: "auto" as const },
    { type: "input_text" as const, text: "What?" },
  ];
  const request = {
    model: "tiny",
    instructions: "Be brief.",
    input: [{ role: "user" as const, content }],
    max_output_tokens: 9,
  };
  const whole = await openai.responses.create(request);
  const chat = await openai.chat.completions.create({
    model: "tiny",
    messages: [
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: image_url } },
          { type: "text", text: "What?" },
        ],
      },
    ],
    max_tokens: 9,
  });
  expect(whole.output_text).toBe(chat.choices[0]!.message.content);
  expect(whole).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
  expect(whole.usage).toMatchObject({ input_tokens: chat.usage!.prompt_tokens, output_tokens: 9 });
  const events: OpenAI.Responses.ResponseStreamEvent[] = [];
  for await (const event of await openai.responses.create({ ...request, stream: true })) events.push(event);
  expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, i) => i));
  const deltas = events.flatMap((event) => (event.type === "response.output_text.delta" ? [event.delta] : []));
  expect(deltas.join("")).toBe(whole.output_text);
  expect(events.map(({ type }) => type).filter((type) => type !== "response.output_text.delta")).toEqual([
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.incomplete",
  ]);
  const plain = await openai.responses.create({ model: "tiny", input: "Hi", max_output_tokens: 2 });
  expect(plain.output[0]).toMatchObject({ type: "message", role: "assistant" });
});

it("refuses what it would have to remember, and names the field of a bad picture", async () => {
  const refused = (more: object) =>
    openai.responses.create({ model: "tiny", input: "x", ...more } as OpenAI.Responses.ResponseCreateParams);
  await expect(refused({ previous_response_id: "resp_1" })).rejects.toMatchObject({
    status: 400,
    param: "previous_response_id",
  });
  const content = [{ type: "input_image", image_url: "data:image/png;base64,aGk=", detail: "auto" }];
  await expect(refused({ instructions: "a", input: [{ role: "user", content }] })).rejects.toMatchObject({
    status: 400,
    code: "picture_format",
    param: "input[0].content[0].image_url",
  });
});

it("counts tokens before they are asked", async () => {
  const { assistant } = tiny.model;
  const text = "What is <image>?";
  expect(await post("/tokenize", { prompt: text })).toMatchObject({ tokens: assistant.tokenizer.encode(text) });
  expect(await post("/tokenize", { content: text })).toMatchObject({ model: "tiny", max_model_len: 2048 });
  const picture = { type: "image_url", image_url: { url: await tinyPicture(1) } };
  const counted = await post("/tokenize", { messages: [{ role: "user", content: [picture, { type: "text", text }] }] });
  expect(counted["tokens"]).toEqual([...writeTurns(assistant, [userTurn(text, 1)], [1]).ids]);
  expect(counted["count"]).toBe((counted["tokens"] as number[]).length);
});

it("measures where the time goes", async () => {
  const names = ["llava_queue_seconds_count", "llava_prefill_seconds_count", "llava_picture_decode_seconds_count"];
  const picture = { type: "image_url", image_url: { url: await tinyPicture(77) } };
  const read = () => Promise.all(names.map((name) => metric(url, name)));
  const before = await read();
  const ask = () => post("/v1/chat/completions", { messages: [{ role: "user", content: [picture] }], max_tokens: 3 });
  await ask();
  await ask();
  // the picture was decoded once, and encoded once
  expect((await read()).map((n, i) => n - before[i]!)).toEqual([2, 2, 1]);
  const text = await (await fetch(`${url}/metrics`)).text();
  expect(text).toMatch(/^llava_requests_total\{route="\/v1\/chat\/completions",status="200"\} \d+$/m);
  expect(text).toMatch(/^llava_pictures_total\{cached="true"\} [1-9]/m);
  expect(text).toMatch(/^llava_tokens_total\{kind="completion"\} [1-9]/m);
});

it("describes itself", async () => {
  const description = (await (await fetch(`${url}/openapi.json`)).json()) as {
    openapi: string;
    info: { version: string };
    paths: Record<string, { post?: { requestBody: { content: { "application/json": { schema: object } } } } }>;
  };
  expect([description.openapi, description.info.version]).toEqual(["3.1.0", "1.2.3"]);
  const { schema } = description.paths["/v1/chat/completions"]!.post!.requestBody.content["application/json"];
  expect(schema).toMatchObject({ type: "object", required: ["messages"], properties: { stop: {}, seed: {} } });
  expect((await fetch(`${url}/v1/nothing`)).status).toBe(404);
  expect((await fetch(`${url}/v1/chat/completions`)).status).toBe(404);
});
