// The laws checker finds what is planted: an import upwards, sideways, a node: module, a bare throw, a file without a heading.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";

const laws = fileURLToPath(new URL("../scripts/laws.mjs", import.meta.url));
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "laws-"));
  mkdirSync(join(root, "src"));
});
afterEach(() => rmSync(root, { recursive: true }));

function plant(name: string, body: string, heading = "// What it is.\n"): void {
  const path = join(root, "src", name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, heading + body);
}

function breaches(): string[] {
  const { stdout, status } = spawnSync(process.execPath, [laws, root], { encoding: "utf8" });
  const lines = stdout.trim().split("\n").slice(0, -1);
  expect(status).toBe(lines.length === 0 ? 0 : 1);
  return lines;
}

it("accepts imports to lower layers and within a folder", () => {
  plant("errors.ts", "export class InputError extends Error {}\n");
  plant("formats/a.ts", 'import { InputError } from "../errors.ts";\n');
  plant(
    "models/deep/a.ts",
    'import type { A } from "../../graph/a.ts";\nimport { b } from "../b.ts";\nexport * from "./c.ts";\n',
  );
  plant("image/node.ts", 'import { readFileSync } from "node:fs";\nimport sharp from "sharp";\n');
  plant("image/pixels.test.ts", 'import { readFileSync } from "node:fs";\nthrow new Error("in a test");\n', "");
  plant("graph/a.ts", '// import { x } from "../cli/x.ts";\n/* throw new Error("x") */\nexport const a = 1;\n');
  expect(breaches()).toEqual([]);
});

it.each([
  ["upwards", "graph/a.ts", 'import { a } from "../models/a.ts";', "graph (layer 1) imports models (layer 3)"],
  ["upwards, types only", "graph/a.ts", 'import type { A } from "../models/a.ts";', "graph (layer 1) imports models"],
  [
    "upwards, over lines",
    "graph/a.ts",
    'import {\n  a,\n  b,\n} from "../models/a.ts";',
    ":5: graph (layer 1) imports models",
  ],
  [
    "upwards, in an expression",
    "graph/a.ts",
    'const a = await import("../models/a.ts");',
    "graph (layer 1) imports models",
  ],
  ["upwards, for effect", "graph/a.ts", 'import "../cli/main.ts";', "graph (layer 1) imports cli"],
  ["by a re-export", "graph/a.ts", 'export { a } from "../train/a.ts";', "graph (layer 1) imports train"],
  ["sideways", "train/a.ts", 'import { a } from "../evaluate/a.ts";', "train (layer 5) imports evaluate (layer 5)"],
  ["out of src", "cli/a.ts", 'import { lab } from "../../test/lab.ts";', "leaves src/"],
  ["an unknown folder", "cli/a.ts", 'import { a } from "../helpers/a.ts";', "helpers is in no layer"],
  ["a node: module", "models/a.ts", 'import { readFileSync } from "node:fs";', "node:fs in models/"],
  ["a native package", "runtime/web.ts", 'import * as ort from "onnxruntime-node";', "onnxruntime-node in runtime/"],
  ["a bare throw", "cli/a.ts", 'throw new Error("x");', "throw InputError, RunError or BugError"],
])("refuses %s", (_, name, code, problem) => {
  plant(name, `${code}\n`);
  const found = breaches();
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(problem);
});

it("refuses a file that does not say what it is", () => {
  plant("graph/a.ts", "export const a = 1;\n", "");
  expect(breaches()).toEqual(["src/graph/a.ts:1: the first line says what the file is, as a // comment"]);
});
