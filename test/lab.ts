// Where the lab's models, photos and goldens lie; tests that need them are skipped elsewhere.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../shared/", import.meta.url));

/** `present` is false where ../shared does not lie beside the project: "needs the lab's shared folder". */
export const lab = {
  present: existsSync(`${root}models`),
  path: (relative: string): string => `${root}${relative}`,
};
