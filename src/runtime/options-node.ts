// What a caller may choose about an engine, and what the machine says otherwise.
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { InputError, RunError } from "../errors.ts";
import { sessionOptions } from "./executor-node.ts";
import { zeroCopyWorks } from "./zero-copy-node.ts";

export interface EngineOptions {
  /** threads of one run; else LLAVA_THREADS, else the physical cores */
  readonly threads?: number;
  /** how outputs reach our memory: "auto" copies only where the binding leaves no other way */
  readonly outputs?: "auto" | "zero-copy" | "copy";
}

export interface Settings {
  readonly threads: number;
  readonly zeroCopy: boolean;
}

/** Fills in what was left open. Throws `ENGINE_ZERO_COPY` when zero-copy is demanded and the self-test fails. */
export async function settle({ threads = threadsOfMachine(), outputs = "auto" }: EngineOptions): Promise<Settings> {
  const zeroCopy = outputs !== "copy" && (await zeroCopyWorks(sessionOptions(threads)));
  if (outputs === "zero-copy" && !zeroCopy) {
    throw new RunError("ENGINE_ZERO_COPY", {
      expected: "onnxruntime-node to write outputs in place",
      got: "another version or behaviour",
      fix: 'choose outputs: "auto"',
    });
  }
  return { threads, zeroCopy };
}

function threadsOfMachine(): number {
  const asked = process.env["LLAVA_THREADS"];
  if (asked === undefined || asked === "") return Math.min(physicalCores(), availableParallelism());
  const threads = Number(asked);
  if (Number.isInteger(threads) && threads >= 1 && threads <= 1024) return threads;
  throw new InputError("ENGINE_THREADS", {
    expected: "a whole number from 1 to 1024",
    got: asked,
    where: "LLAVA_THREADS",
  });
}

/** Two hardware threads of one core share its vector units, so GEMMs gain nothing from the second. */
function physicalCores(): number {
  const cores = new Set<string>();
  try {
    for (let cpu = 0; cpu < availableParallelism(); cpu++) {
      cores.add(readFileSync(`/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`, "utf8"));
    }
  } catch {
    // not Linux, or hidden: count what the system offers
    return availableParallelism();
  }
  return cores.size;
}
