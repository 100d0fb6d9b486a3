// What one server does at most: every bound on what a request may cost, in one place.
import { defaultLimits, type PictureLimits } from "../image/header.ts";

export interface ServeLimits {
  /** answers computed side by side */
  readonly parallel: number;
  /** requests that wait for their turn; more are refused with 429 */
  readonly queue: number;
  /** bytes of one request's body */
  readonly bodyBytes: number;
  /** bytes of a vote's body, which may become one line of a file */
  readonly voteBytes: number;
  /** bytes of all bodies being received or held at once */
  readonly heldBytes: number;
  /** answers of one request (`n`) */
  readonly choices: number;
  /** pictures of one request */
  readonly pictures: number;
  /** new tokens when the request names no number */
  readonly newTokens: number;
  /** tokens of a conversation whose attention is shown */
  readonly attentionTokens: number;
  readonly picture: PictureLimits;
  /** milliseconds that decoding one picture may take before its process is ended */
  readonly decodeMs: number;
  /** processes that decode pictures */
  readonly decoders: number;
  /** milliseconds that fetching one picture may take, redirects included */
  readonly fetchMs: number;
  /** milliseconds that answers under way are given at the end */
  readonly drainMs: number;
}

const MiB = 2 ** 20;

export const defaultServeLimits: ServeLimits = {
  parallel: 8,
  queue: 64,
  bodyBytes: 20 * MiB,
  voteBytes: 8 * MiB,
  heldBytes: 256 * MiB,
  choices: 8,
  pictures: 16,
  newTokens: 512,
  attentionTokens: 2048,
  picture: { ...defaultLimits, bytes: 10 * MiB },
  decodeMs: 5000,
  decoders: 2,
  fetchMs: 10_000,
  drainMs: 30_000,
};
