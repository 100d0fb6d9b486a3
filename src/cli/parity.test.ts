import { fileURLToPath } from "node:url";
import { afterEach, expect, it, vi } from "vitest";
import { exitCodeOf } from "./failure.ts";
import { createProgram } from "./program.ts";

const folder = (name: string): string => fileURLToPath(new URL(`../../test/golden/${name}`, import.meta.url));
const golden = `${folder("llava-tiny")}/golden.safetensors`;
afterEach(() => void vi.restoreAllMocks());

/** What is printed, and what is thrown. */
async function run(...args: string[]): Promise<{ text: string; error: unknown }> {
  const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const program = await createProgram("parity");
  const error = await program.parseAsync(["parity", "--threads", "1", ...args], { from: "user" }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { text: written.mock.calls.map(([each]) => String(each)).join(""), error };
}

it("shows each stage with its difference and tolerance", async () => {
  const { text, error } = await run(folder("llava-tiny"), golden);
  expect(error).toBeUndefined();
  expect(text).toMatch(/^stage +difference +tolerance +worst\ntower_features +\d\.\de-\d+ +2e-4 +ok\n/);
  expect(text.trim().split("\n")).toHaveLength(11);
});

it("prints differences as JSON", async () => {
  const { text } = await run(folder("llava-tiny"), golden, "--json");
  const report = JSON.parse(text) as { stages: Record<string, { difference: number }>; ok: boolean };
  expect(report.ok).toBe(true);
  expect(report.stages["logits"]).toEqual({ difference: expect.any(Number) as number, tolerance: 2e-4, ok: true });
});

it("ends with 2 for a golden file that lacks something, or a model that is none", async () => {
  const other = `${folder("qwen2-tiny")}/golden.safetensors`;
  const lacking = await run(folder("llava-tiny"), other);
  expect(lacking).toMatchObject({ text: "", error: { code: "GOLDEN_MISSING" } });
  expect(exitCodeOf(lacking.error)).toBe(2);
  expect((await run(folder("qwen2-tiny"), golden)).error).toMatchObject({ code: "MODEL_CONFIG" });
});
