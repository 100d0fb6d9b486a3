// Who may ask: the Host a request names, the Origin it comes from, the key it carries.
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import { RequestError } from "./errors.ts";

export interface GuardOptions {
  /** keys that open all routes but /health; none: nobody needs one */
  readonly keys: readonly string[];
  /** names that this server is reached by, besides localhost and addresses */
  readonly hosts: readonly string[];
  /** origins of web pages that may use it, e.g. https://app.example.org */
  readonly origins: readonly string[];
}

export class Guard {
  readonly #options: GuardOptions;
  readonly #digests: readonly Buffer[];

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#digests = options.keys.map(digest);
  }

  /**
   * A name that is not ours was pointed at this address by somebody else's page (DNS rebinding); addresses cannot be.
   * Throws `HOST_REFUSED`.
   */
  checkHost(header: string | undefined): void {
    const name = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.exec(header ?? "")?.[1]?.toLowerCase();
    const bare = name?.replace(/^\[|\]$/g, "");
    if (bare !== undefined && (bare === "localhost" || isIP(bare) !== 0 || this.#options.hosts.includes(bare))) return;
    throw new RequestError(403, "HOST_REFUSED", {
      expected: "a Host that this server goes by",
      got: "another one",
      fix: "llava serve --allowed-host NAME lets a name in",
    });
  }

  /** Pages of this server and of named origins may ask; others would act for whoever looks at them. Throws `ORIGIN_REFUSED`. */
  checkOrigin(origin: string | undefined, host: string | undefined): void {
    if (origin === undefined || this.allows(origin)) return;
    if (origin === `http://${host}` || origin === `https://${host}`) return;
    throw new RequestError(403, "ORIGIN_REFUSED", {
      expected: "a request from this server's own page, or from no page",
      got: "one from elsewhere",
      fix: "llava serve --allowed-origin ORIGIN lets a page in",
    });
  }

  /** Whether pages of another origin may read answers. */
  allows(origin: string): boolean {
    return this.#options.origins.includes(origin);
  }

  /** The key that a request carries, undefined where none is needed. Throws `INVALID_API_KEY`. */
  checkKey(authorization: string | undefined): string | undefined {
    if (this.#digests.length === 0) return undefined;
    const key = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
    const given = digest(key ?? "");
    // all are compared, each in the same time, whichever is right
    let found = false;
    for (const each of this.#digests) found = timingSafeEqual(each, given) || found;
    if (key !== undefined && found) return key;
    throw new RequestError(401, "INVALID_API_KEY", {
      expected: "a key of this server as Authorization: Bearer KEY",
      got: key === undefined ? "none" : "another one",
    });
  }
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
