// `llava parity`: how far this program's numbers lie from PyTorch's, stage by stage, on a golden file.
import type { Command } from "commander";
import { RunError } from "../errors.ts";
import { openLlava } from "../models/node.ts";
import { createEngine } from "../runtime/node.ts";
import { parity, type ParityReport } from "../train/parity.ts";
import { openGolden } from "../train/parity-golden.ts";
import { addVerb, wholeNumber } from "./options.ts";
import { print, printJson, table } from "./output.ts";

interface Options {
  readonly threads?: number;
  readonly json?: boolean;
}

export function addParity(program: Command): void {
  addVerb(
    program,
    "parity <model> <golden>",
    "compare a model's numbers with those of PyTorch in a golden .safetensors file",
  )
    .option("--threads <n>", "threads to compute with (default: the physical cores)", wholeNumber(1, 1024))
    .option("--json", "print the differences as JSON")
    .action(async (model: string, golden: string, { threads, json }: Options) => {
      const report = await compare(model, golden, threads === undefined ? {} : { threads });
      if (json) printJson(report);
      else print(describe(report));
      refuseDifference(report, golden);
    });
}

async function compare(
  modelPath: string,
  goldenPath: string,
  engineOptions: { threads?: number },
): Promise<ParityReport> {
  const opened: { close(): Promise<void> }[] = [];
  const open = async <T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> => {
    const resource = await opening;
    opened.push(resource);
    return resource;
  };
  try {
    const files = await open(openLlava(modelPath));
    const golden = await open(openGolden(goldenPath, files.config));
    return await parity(await open(createEngine(engineOptions)), files, golden);
  } finally {
    for (const resource of opened.toReversed()) await resource.close();
  }
}

function describe({ stages }: ParityReport): string {
  const rows = Object.entries(stages).map(([name, { difference, tolerance, ok, worst }]) => [
    name,
    difference.toExponential(1),
    tolerance.toExponential(0),
    ok ? "ok" : "FAIL",
    worst ?? "",
  ]);
  return table([["stage", "difference", "tolerance", "", "worst"], ...rows], [1, 2]);
}

/** Throws `PARITY` naming the first stage beyond its tolerance: what follows it may be wrong because of it. */
function refuseDifference({ stages }: ParityReport, where: string): void {
  const first = Object.entries(stages).find(([, { ok }]) => !ok);
  if (first === undefined) return;
  const [name, { difference, tolerance, worst }] = first;
  throw new RunError("PARITY", {
    expected: `${name} within ${tolerance} of the golden's`,
    got: `${Number(difference.toPrecision(3))}${worst === undefined ? "" : ` (${worst})`}`,
    where,
  });
}
