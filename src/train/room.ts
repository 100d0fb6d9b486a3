// Whether a stage's checkpoints will fit on the disk, asked before its first step rather than found out hours later.
import { requireRoom } from "../formats/node.ts";
import type { StageRecipe } from "./recipe.ts";

/**
 * Throws `DISK_FULL` when the checkpoints that a stage still adds do not fit: those kept, and one that is being written.
 * @param bytes of one checkpoint
 * @param present how many lie there already
 */
export async function requireCheckpointRoom(
  folder: string,
  bytes: number,
  { keep, checkpoint_every: every }: Pick<StageRecipe, "keep" | "checkpoint_every">,
  remaining: number,
  present: number,
): Promise<void> {
  const written = 1 + (every === 0 ? 0 : Math.floor(Math.max(0, remaining - 1) / every));
  const atOnce = Math.min(written, keep + 1 - Math.min(present, keep));
  await requireRoom(folder, atOnce * bytes, folder, ` (${atOnce} checkpoints; keep: ${keep})`);
}
