// The built command in processes of their own, as a user's shell runs it.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const project = fileURLToPath(new URL("..", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** where it is called */
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** given what kills it at once */
  readonly onStart?: (kill: () => void) => void;
}

export async function runLlava(args: readonly string[], { cwd, env, onStart }: RunOptions): Promise<Ended> {
  const child = spawn(process.execPath, [join(project, "dist/cli/main.js"), ...args], {
    cwd,
    env: { ...process.env, LLAVA_THREADS: "1", ...env },
  });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].on("data", (chunk) => (said[stream] += String(chunk)));
  onStart?.(() => child.kill("SIGKILL"));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, ...said };
}
