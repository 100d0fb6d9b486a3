// The process that decodes pictures from outside: it holds nothing worth stealing and can be ended at any time.
import { LlavaError } from "../errors.ts";
import type { PictureLimits } from "../image/header.ts";
import { decodePicture } from "../image/node.ts";
import { makeViews, type ViewPlan } from "./views.ts";

export interface DecodeJob {
  readonly id: number;
  readonly bytes: Uint8Array;
  /** names the picture in errors */
  readonly where: string;
  readonly limits: PictureLimits;
  readonly plan: ViewPlan;
}

export type DecodeReply =
  | { readonly ready: true }
  | { readonly id: number; readonly views: readonly Float32Array[] }
  | { readonly id: number; readonly refused: { readonly code: string; readonly details: LlavaError["details"] } }
  | { readonly id: number; readonly failed: string };

async function decode({ id, bytes, where, limits, plan }: DecodeJob): Promise<DecodeReply> {
  try {
    return { id, views: makeViews(await decodePicture(bytes, where, limits), plan) };
  } catch (error) {
    if (!(error instanceof LlavaError)) return { id, failed: String(error) };
    const { cause: _, ...details } = error.details;
    return { id, refused: { code: error.code, details } };
  }
}

if (process.send) {
  const send = (reply: DecodeReply): void => void process.send!(reply);
  process.on("message", (job: DecodeJob) => void decode(job).then(send));
  // the terminal's Ctrl-C reaches every process of the group; the server decides when this one ends
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
  process.on("disconnect", () => process.exit());
  send({ ready: true });
}
