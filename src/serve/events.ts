// Server-sent events: frames on a response's stream, with a sign of life while nothing else is to be said.

/** Writes frames; what is written after the client has left is lost. */
export interface EventWriter {
  /** One event with JSON data, named where the protocol names events. */
  send(data: unknown, name?: string): void;
  /** One line of data as it is. */
  line(data: string): void;
}

const pingMs = 15_000;

/** A response whose events `work` writes; it ends when `work` does. JSON has no line breaks, so no data can forge a frame. */
export function eventStream(
  work: (events: EventWriter) => Promise<void>,
  headers: Record<string, string> = {},
): Response {
  const encoder = new TextEncoder();
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      const write = (text: string): void => {
        try {
          controller.enqueue(encoder.encode(text));
        } catch {
          // the client has left
        }
      };
      const line = (data: string): void => write(`data: ${data}\n\n`);
      const ping = setInterval(() => write(": still here\n\n"), pingMs);
      const events: EventWriter = {
        line,
        send: (data, name) => {
          if (name !== undefined) write(`event: ${name}\n`);
          line(JSON.stringify(data));
        },
      };
      void work(events).finally(() => {
        clearInterval(ping);
        try {
          controller.close();
        } catch {
          // the client has left
        }
      });
    },
  });
  return new Response(stream, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      // reverse proxies would hold events back
      "x-accel-buffering": "no",
      ...headers,
    },
  });
}
