// Reads request bodies within limits: of each, and of all that are held at once.
import type { IncomingMessage } from "node:http";
import { RequestError } from "./errors.ts";
import type { ServeLimits } from "./limits.ts";

/** The bytes that all bodies together take; shared by all requests of a server. */
export class BodyRoom {
  readonly #limits: Pick<ServeLimits, "bodyBytes" | "heldBytes">;
  #held = 0;

  constructor(limits: Pick<ServeLimits, "bodyBytes" | "heldBytes">) {
    this.#limits = limits;
  }

  /**
   * Reads a JSON body of at most `most` bytes and lets `use` have it; its room is free again when `use` is done.
   * Throws `BODY_TYPE`, `BODY_SIZE`, and `RATE_LIMIT_EXCEEDED` when other bodies take all the room.
   */
  async use<T>(
    request: IncomingMessage,
    use: (bytes: Uint8Array) => Promise<T>,
    most = this.#limits.bodyBytes,
  ): Promise<T> {
    checkHeaders(request.headers);
    const { heldBytes } = this.#limits;
    if (Number(request.headers["content-length"] ?? 0) > most) throw tooLarge(most);
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      // the socket stays, so that the refusal can be read
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        length += chunk.length;
        this.#held += chunk.length;
        if (length > most) throw tooLarge(most);
        if (this.#held > heldBytes) throw full();
        chunks.push(chunk);
      }
      return await use(Buffer.concat(chunks));
    } finally {
      this.#held -= length;
    }
  }
}

function checkHeaders(headers: IncomingMessage["headers"]): void {
  const type = headers["content-type"] ?? "";
  // a page of another site can send anything but this without asking first
  const json = /^application\/json\s*(;|$)/i.test(type);
  const encoding = headers["content-encoding"] ?? "identity";
  if (json && encoding === "identity") return;
  throw new RequestError(415, "BODY_TYPE", {
    expected: "content-type: application/json, not compressed",
    got: json ? "a compressed body" : "another type",
  });
}

function tooLarge(most: number): RequestError {
  return new RequestError(413, "BODY_SIZE", {
    expected: `a body of at most ${most} bytes`,
    got: "more",
    fix: "send fewer or smaller pictures",
  });
}

function full(): RequestError {
  return new RequestError(429, "RATE_LIMIT_EXCEEDED", {
    expected: "room for this body",
    got: "other requests that take all of it",
    fix: "try again soon",
    retryAfter: 2,
  });
}
