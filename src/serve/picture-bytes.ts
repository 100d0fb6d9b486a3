// The bytes of a picture that a request names: a data: URL, or an http(s) address where the server allows it.
import { checkLimits } from "../image/header.ts";
import { RequestError } from "./errors.ts";
import { fetchPicture, type FetchRules } from "./fetch-picture.ts";
import type { ServeLimits } from "./limits.ts";
import type { PictureAddress } from "./messages.ts";

/** Fetches or unpacks a picture; nothing looks into it. Throws `INVALID_IMAGE_URL`, `PICTURE_SIZE`. */
export async function pictureBytes(
  { url, where }: PictureAddress,
  limits: Pick<ServeLimits, "picture" | "fetchMs">,
  fetching: Pick<FetchRules, "hosts" | "resolve" | "allowed"> | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { picture, fetchMs } = limits;
  const bytes = /^https?:/i.test(url)
    ? await fetchPicture(url, where, fetchRules(fetching, picture.bytes, fetchMs, where), signal)
    : unpack(url, where);
  checkLimits(undefined, bytes.length, where, picture);
  return bytes;
}

function fetchRules(
  fetching: Pick<FetchRules, "hosts" | "resolve" | "allowed"> | undefined,
  maxBytes: number,
  timeoutMs: number,
  where: string,
): FetchRules {
  if (fetching !== undefined) return { ...fetching, maxBytes, timeoutMs };
  throw unusable(where, "an http(s) address, which this server does not fetch");
}

/** RFC 2397, base64 alone; the type is not believed: the bytes say what they are. */
function unpack(url: string, where: string): Buffer {
  const head = /^data:[a-z0-9.+/;=_-]{0,200};base64,/i.exec(url.slice(0, 256))?.[0];
  if (head === undefined) throw unusable(where, "something else");
  const text = url.slice(head.length);
  const bytes = Buffer.from(text, "base64");
  // the decoder passes over what is no base64, so the lengths would differ
  const letters = text.length - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);
  if (bytes.length !== Math.floor((letters * 3) / 4)) throw unusable(where, "one whose base64 is broken");
  return bytes;
}

function unusable(where: string, got: string): RequestError {
  return new RequestError(400, "INVALID_IMAGE_URL", {
    expected: "a picture as a data: URL in base64",
    got,
    where,
    fix: "send data:image/jpeg;base64,…",
  });
}
