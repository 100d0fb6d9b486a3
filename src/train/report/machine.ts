// What computes: processor, memory and versions, for a report.
import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import { onnxruntimeVersion } from "../../runtime/version-node.ts";
import type { Fact } from "./data.ts";
import { showBytes } from "./show.ts";

/** This machine; `threads` are those that the engine computes with. */
export function machineFacts(threads: number): Fact[] {
  return [
    { label: "processor", value: cpus()[0]?.model.trim() ?? "unknown" },
    { label: "cores", value: `${availableParallelism()}, of which ${threads} compute` },
    { label: "memory of the machine", value: showBytes(totalmem()) },
    { label: "system", value: `${type()} ${release()}, ${process.arch}` },
    { label: "ONNX Runtime", value: onnxruntimeVersion() },
    { label: "Node.js", value: process.version },
  ];
}

/** The most memory that this process ever held, in bytes. */
export function peakMemory(): number {
  return process.resourceUsage().maxRSS * 1024;
}
