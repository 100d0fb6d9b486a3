// What an answer looked at, asked over a real socket: shares of attention on the picture that the model saw.
import sharp from "sharp";
import { afterAll, beforeAll, expect, it } from "vitest";
import { tinyPicture } from "../../test/tiny-llava.ts";
import { writeAnswered, writeTurns, userTurn } from "../generate/assistant.ts";
import { decodePicture } from "../image/node.ts";
import { fitPixels } from "../image/preprocess.ts";
import { textTurn } from "../text/conversation.ts";
import { openTinyServers, type TinyServers } from "./tiny-server.fixture.ts";

let tiny: TinyServers;
let url: string;
beforeAll(async () => {
  tiny = await openTinyServers();
  ({ url } = await tiny.start({ limits: { attentionTokens: 200 } }));
});
afterAll(async () => {
  expect(tiny.internal).toEqual([]);
  await tiny.end();
});

interface Told {
  readonly error?: { readonly code: string; readonly param: string };
  readonly layers: number[];
  readonly model_layers: number;
  readonly heads: number[];
  readonly model_heads: number;
  readonly pictures: { readonly views: { image: string; width: number; rows: number; columns: number }[] }[];
  readonly tokens: { readonly text: string; readonly weights: number[][][] }[];
}

async function ask(body: object): Promise<Told> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/v1/attention`, { method: "POST", headers, body: JSON.stringify(body) });
  return (await response.json()) as Told;
}

const look = (url: string) => ({ type: "image_url", image_url: { url } });
const answer = "A dög there.";

it("tells for each token where its attention lay, on the very pixels of the tower", async () => {
  const pictures = [await tinyPicture(1), await tinyPicture(2)];
  const content = [...pictures.map(look), { type: "text", text: "What?" }];
  const messages = [
    { role: "user", content },
    { role: "assistant", content: answer },
  ];
  const told = await ask({ messages });
  expect(told.layers).toEqual(Array.from({ length: told.model_layers }, (_, layer) => layer));
  expect(told.tokens.map(({ text }) => text).join("")).toBe(answer);
  for (const { weights } of told.tokens) {
    expect(weights.map((views) => views.map((patches) => patches.length))).toEqual([[4], [4]]);
    const sum = weights.flat(2).reduce((total, weight) => total + weight, 0);
    expect(sum).toBeGreaterThan(0);
    expect(sum).toBeLessThan(1);
  }
  const [view] = told.pictures[0]!.views;
  expect([told.pictures.length, view!.width, view!.rows, view!.columns]).toEqual([2, 16, 2, 2]);
  // what is shown is what the tower got
  const shown = await sharp(Buffer.from(view!.image.split(",")[1]!, "base64"))
    .raw()
    .toBuffer();
  const decoded = await decodePicture(Buffer.from(pictures[0]!.split(",")[1]!, "base64"), "picture");
  expect(Buffer.compare(shown, fitPixels(decoded, tiny.model.assistant.sight!.preprocessor).data)).toBe(0);
  // one layer alone is another answer, and the same again the same
  const [first, again] = [await ask({ messages, layers: [0] }), await ask({ messages, layers: [0] })];
  expect(first.layers).toEqual([0]);
  expect(first.tokens).not.toEqual(told.tokens);
  expect(again.tokens).toEqual(first.tokens);
  // heads alone come to what all of them come to
  const alone = await Promise.all(
    Array.from({ length: told.model_heads }, (_, head) => ask({ messages, heads: [head] })),
  );
  expect(alone.map(({ heads }) => heads)).toEqual(told.heads.map((head) => [head]));
  expect(alone[1]!.tokens).not.toEqual(alone[0]!.tokens);
  const weight = ({ tokens }: Told): number => tokens[0]!.weights[0]![0]![0]!;
  const mean = alone.reduce((sum, each) => sum + weight(each), 0) / alone.length;
  expect(Math.abs(mean - weight(told)) / mean).toBeLessThan(1e-3);
});

it("refuses what has no answer, no picture, no such layer, or too many tokens", async () => {
  const picture = look(await tinyPicture(3));
  const user = { role: "user", content: [picture, { type: "text", text: "What?" }] };
  const said = { role: "assistant", content: answer };
  const cases: [object, string, string][] = [
    [{ messages: [user] }, "invalid_value", "messages"],
    [{ messages: [user, { role: "assistant", content: "" }] }, "invalid_value", "messages"],
    [{ messages: [{ role: "user", content: "Hi" }, said] }, "invalid_value", "messages"],
    [{ messages: [user, said], layers: [99] }, "invalid_value", "layers"],
    [{ messages: [user, said], heads: [99] }, "invalid_value", "heads"],
    [{ messages: [user, { ...said, content: "word ".repeat(300) }] }, "context_length_exceeded", "messages"],
    [{ messages: [user, said], model: "other" }, "model_not_found", "model"],
  ];
  for (const [body, code, param] of cases) expect((await ask(body)).error).toMatchObject({ code, param });
});

it("writes an answer exactly where it was generated", () => {
  const { assistant } = tiny.model;
  const turns = [userTurn("One?", 1), textTurn("assistant", "Yes."), userTurn("And <image>?", 0)];
  const prompt = writeTurns(assistant, turns, [1]);
  const whole = writeAnswered(assistant, turns, answer, [1]);
  expect(whole.from).toBe(prompt.ids.length);
  expect([...whole.ids.subarray(0, whole.from)]).toEqual([...prompt.ids]);
  expect(assistant.tokenizer.decode(whole.ids.subarray(whole.from))).toBe(answer);
  expect(whole.imageRuns).toEqual(prompt.imageRuns);
});
