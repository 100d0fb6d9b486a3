// A chat endpoint on loopback for tests: answers by the words of the last message, counts what it was asked and charged.
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Asked {
  readonly at: number;
  readonly context: string;
  readonly model: string;
  readonly nonce: string;
  /** addresses of the pictures that came along */
  readonly pictures: readonly string[];
}

/** Words alone, or pictures and words. */
type Content = string | readonly { readonly text?: string; readonly image_url?: { readonly url: string } }[];

export interface FakeEndpoint {
  readonly base: string;
  /** every request received, in order */
  readonly asked: Asked[];
  /** nanodollars for every answer it made, by nonce */
  readonly charges: Map<string, number>;
  charged(): number;
  close(): void;
}

/** What it does with a request: a text to answer (and charge), or a response of its own. */
type Behaviour = (context: string, count: number, response: ServerResponse, charge: () => string) => string | undefined;

/** Dollars per million tokens, and nanodollars for one answer of 10 + 5 tokens. */
export const fakePrice = { input: 3, output: 7 };
export const fakeCost = 10 * 3000 + 5 * 7000;

interface FakeOptions {
  readonly delayMs?: number;
  /** answers a nonce that it has answered before without a charge */
  readonly idempotent?: boolean;
  /** counts so many times 10 + 5 tokens for each answer; 1 unless told */
  readonly times?: number;
}

export async function fakeEndpoint(behaviour: Behaviour, options: number | FakeOptions = {}): Promise<FakeEndpoint> {
  const { delayMs = 0, idempotent = false, times = 1 } = typeof options === "number" ? { delayMs: options } : options;
  const usage = { prompt_tokens: 10 * times, completion_tokens: 5 * times };
  const asked: Asked[] = [];
  const charges = new Map<string, number>();
  const server: Server = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
    incoming.on("end", () => {
      const { messages, model } = JSON.parse(body) as { messages: { content: Content }[]; model: string };
      const { context, pictures } = read(messages.at(-1)?.content ?? "");
      const nonce = String(incoming.headers["idempotency-key"] ?? asked.length);
      asked.push({ at: performance.now(), context, model, nonce, pictures });
      const charge = (text = ""): string => {
        charges.set(nonce, (idempotent ? 0 : (charges.get(nonce) ?? 0)) + fakeCost * times);
        return JSON.stringify({ model, choices: [{ finish_reason: "stop", message: { content: text } }], usage });
      };
      const text = behaviour(context, asked.length, response, () => charge(talk(context)));
      if (text === undefined) return;
      const reply = charge(text);
      setTimeout(() => response.writeHead(200, { "content-type": "application/json" }).end(reply), delayMs);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    charges,
    charged: () => [...charges.values()].reduce((sum, each) => sum + each, 0),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function read(content: Content): { context: string; pictures: string[] } {
  if (typeof content === "string") return { context: content, pictures: [] };
  return {
    context: content.flatMap(({ text }) => text ?? []).join("\n"),
    pictures: content.flatMap(({ image_url }) => image_url?.url ?? []),
  };
}

/** A good reply of the form "turns" or "pair" that repeats the context's first line. */
export function talk(context: string): string {
  return `Question:\nWhat is there?\n===\nAnswer:\n${context.split("\n")[0]}`;
}
