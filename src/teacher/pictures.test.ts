import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openEndpoint, type Endpoint } from "../endpoint/endpoint.ts";
import { mostTokens } from "../endpoint/price.ts";
import { decodePicture } from "../image/node.ts";
import { readBuiltInKinds } from "./kind.ts";
import { openJudge } from "./opinions.ts";
import { openSight } from "./pictures.ts";
import { planTeacher } from "./plan.ts";
import { requestsFrom, runTeacher, type TeacherOptions, type TeacherSummary } from "./run.ts";

const kinds = await readBuiltInKinds(["conversation"]);
const pictures = ["red", "blue"].map((colour, i) => ({
  id: colour,
  image: `${colour}.png`,
  captions: ["A road"],
  objects: [{ name: i === 0 ? "car" : "dog", box: [0, 0, 0.5, 0.5] as const }],
}));

interface Part {
  readonly text?: string;
  readonly image_url?: { readonly url: string; readonly detail: string };
}

let folder = "";
let server: Server;
let asked: { readonly system: string; readonly parts: readonly Part[] }[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sight-"));
  for (const { id, image } of pictures) await draw(image, id, 1024, 512);
  asked = [];
  server = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
    incoming.on("end", () => {
      const { messages } = JSON.parse(body) as { messages: { content: string | Part[] }[] };
      const parts = messages.at(-1)?.content;
      asked.push({ system: String(messages[0]?.content), parts: Array.isArray(parts) ? parts : [] });
      // a dog that neither words nor boxes name in the first picture
      const judged = JSON.stringify(parts).includes("The talk");
      const content = judged ? "Verdict: right" : "Question:\nWhat is there?\n===\nAnswer:\nA dog is on the road.";
      response.end(JSON.stringify({ choices: [{ finish_reason: "stop", message: { content } }] }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

async function draw(name: string, background: string, width: number, height: number): Promise<void> {
  const picture = sharp({ create: { width, height, channels: 3, background } });
  await writeFile(join(folder, name), await picture.png().toBuffer());
}

const client = (): Endpoint =>
  openEndpoint({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, attempts: 1 });

function teach(more: Partial<TeacherOptions> = {}): Promise<TeacherSummary> {
  return blind({ sight: openSight(folder), ...more });
}

function blind(more: Partial<TeacherOptions> = {}): Promise<TeacherSummary> {
  const out = join(folder, "instruct.json");
  return runTeacher(pictures, { kinds, endpoint: client(), model: "m", out, ...more });
}

describe("a teacher that sees", () => {
  test("is sent small copies before the words, and may name what words and boxes do not", async () => {
    expect(await blind()).toMatchObject({ accepted: 1, dropped: { "absent object": 1 } });
    asked = [];
    expect(await teach()).toMatchObject({ accepted: 2, dropped: {} });
    expect(asked).toHaveLength(2);
    for (const { system, parts } of asked) {
      expect(system).toContain("the photo itself comes along");
      expect(parts.map((part) => Object.keys(part)[1])).toEqual(["image_url", "text"]);
      const { url = "", detail } = parts[0]?.image_url ?? {};
      expect(detail).toBe("low");
      const { width, height } = await decodePicture(Buffer.from(url.split(",")[1] ?? "", "base64"), "sent");
      expect([width, height]).toEqual([512, 256]);
      expect(parts[1]?.text).toContain("A road");
    }
  });

  test("is asked once about a picture, and again when the picture is another", async () => {
    await teach();
    await teach();
    expect(asked).toHaveLength(2);
    await draw("red.png", "green", 64, 64);
    await teach();
    expect(asked).toHaveLength(3);
  });

  test("a picture that is not there is passed over by its reason", async () => {
    await rm(join(folder, "blue.png"));
    expect(await teach()).toMatchObject({ accepted: 1, dropped: { "no picture": 1 } });
  });

  test("the judge sees it too", async () => {
    await teach({ opinions: [{ opinion: await openJudge("judge"), endpoint: client() }] });
    expect(asked.at(-1)?.parts[0]?.image_url?.url).toMatch(/^data:image\/jpeg;base64,/);
  });

  test("counts its pictures in the estimate, which reads no pixels", async () => {
    const options = {
      kinds,
      model: "m",
      out: join(folder, "none.json"),
      price: { input: 1, output: 1 },
      concurrency: 1,
    };
    const blind = await planTeacher(pictures, options);
    const seeing = await planTeacher(pictures, { ...options, sight: openSight(folder) });
    expect(seeing.most.promptTokens - blind.most.promptTokens).toBeGreaterThan(2 * 3000 - 1);
    // the words of a request are those of the blind one: what is sent is made when it is sent
    for await (const request of (await requestsFrom(pictures, { kinds, model: "m", sight: openSight(folder) }))()) {
      if ("skipped" in request) expect.fail(request.skipped);
      else expect(mostTokens(request.chat()).promptTokens).toBeLessThan(20_000);
    }
  });
});
