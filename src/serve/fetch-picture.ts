// Fetches a picture that a request names by its address, and nothing that the address could be made to reach besides.
import { lookup as systemLookup } from "node:dns/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { RequestError } from "./errors.ts";
import { isPublicAddress } from "./addresses.ts";

/** How pictures are fetched. */
export interface FetchRules {
  /** hosts that pictures may come from; "*" stands for all public ones */
  readonly hosts: readonly string[];
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** for tests: the addresses of a name, and which of them may be dialled */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  readonly allowed?: (address: string) => boolean;
}

const mostRedirects = 3;

/**
 * The bytes behind an http(s) address: each hop's name is resolved once, every address it has must be public, and the one
 * that was checked is the one that is dialled. Throws `INVALID_IMAGE_URL` without saying what was found there.
 */
export async function fetchPicture(
  address: string,
  where: string,
  rules: FetchRules,
  signal: AbortSignal,
): Promise<Buffer> {
  const stop = AbortSignal.any([signal, AbortSignal.timeout(rules.timeoutMs)]);
  // asking for a name's addresses cannot be stopped, only no longer waited for
  const stopped = new Promise<never>((_, reject) => stop.addEventListener("abort", () => reject(stop.reason as Error)));
  stopped.catch(() => undefined);
  let url = parseAddress(address, where);
  try {
    for (let hop = 0; hop <= mostRedirects; hop++) {
      const response = await dial(url, await Promise.race([checkedAddress(url, where, rules), stopped]), stop);
      const { statusCode = 0, headers } = response;
      if (statusCode === 200) return await readAll(response, rules.maxBytes, where);
      response.destroy();
      if (statusCode < 300 || statusCode > 399 || headers.location === undefined) {
        throw refused(where, `status ${statusCode}`);
      }
      url = parseAddress(new URL(headers.location, url).href, where);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RequestError) throw error;
    // whether a port is open is none of the caller's business
    throw refused(where, "none that could be fetched in time");
  }
  throw refused(where, `more than ${mostRedirects} redirects`);
}

/** One parser for all decisions: what `URL` says is both checked and dialled. */
function parseAddress(address: string, where: string): URL {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    throw refused(where, "an address that cannot be read");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw refused(where, "another kind of address");
  if (url.username !== "" || url.password !== "") throw refused(where, "an address with a user's name in it");
  return url;
}

/** The address to dial for a url's host, after the rules. */
async function checkedAddress({ hostname }: URL, where: string, rules: FetchRules): Promise<string> {
  const { hosts, resolve = resolveName, allowed = isPublicAddress } = rules;
  const host = hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (!hosts.includes("*") && !hosts.includes(host))
    throw refused(where, "a host that this server does not fetch from");
  const addresses = isIP(host) === 0 ? await resolve(host) : [host];
  const first = addresses[0];
  if (first === undefined || !addresses.every(allowed)) throw refused(where, "a host that is not public");
  return first;
}

async function resolveName(name: string): Promise<string[]> {
  return (await systemLookup(name, { all: true })).map(({ address }) => address);
}

function dial(url: URL, address: string, signal: AbortSignal): Promise<IncomingMessage> {
  const family = isIP(address);
  const lookup: LookupFunction = (_, options, done) => {
    if (options.all) done(null, [{ address, family }]);
    else done(null, address, family);
  };
  const request = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const headers = { accept: "image/jpeg,image/png,image/webp,image/gif", "user-agent": "llava-ts" };
    // no agent: a kept connection could lead elsewhere than this name does now
    request(url, { agent: false, lookup, signal, headers }, resolve).on("error", reject).end();
  });
}

async function readAll(response: IncomingMessage, maxBytes: number, where: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) {
      response.destroy();
      throw refused(where, `more than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refused(where: string, got: string): RequestError {
  return new RequestError(400, "INVALID_IMAGE_URL", {
    expected: "the http(s) address of a picture on a public host",
    got,
    where,
    fix: "send the picture itself as a data: URL",
  });
}
