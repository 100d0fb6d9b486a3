// A chat endpoint on loopback for tests: answers by the words of the last message, counts what it was asked.
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Asked {
  readonly at: number;
  readonly context: string;
  readonly model: string;
}

export interface FakeEndpoint {
  readonly base: string;
  /** every request received, in order */
  readonly asked: Asked[];
  close(): void;
}

/** What it does with a request: a text to answer, or a response of its own. */
type Behaviour = (context: string, count: number, response: ServerResponse) => string | undefined;

export async function fakeEndpoint(behaviour: Behaviour, delayMs = 0): Promise<FakeEndpoint> {
  const asked: Asked[] = [];
  const server: Server = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
    incoming.on("end", () => {
      const { messages, model } = JSON.parse(body) as { messages: { content: string }[]; model: string };
      const context = messages.at(-1)?.content ?? "";
      asked.push({ at: performance.now(), context, model });
      const text = behaviour(context, asked.length, response);
      if (text === undefined) return;
      const reply = {
        model,
        choices: [{ finish_reason: "stop", message: { content: text } }],
        usage: { prompt_tokens: 10, completion_tokens: 5 },
      };
      setTimeout(
        () => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(reply)),
        delayMs,
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** A good reply of the form "turns" or "pair" that repeats the context's first line. */
export function talk(context: string): string {
  return `Question:\nWhat is there?\n===\nAnswer:\n${context.split("\n")[0]}`;
}
