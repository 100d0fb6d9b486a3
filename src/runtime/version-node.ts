// Which ONNX Runtime is installed.
import { createRequire } from "node:module";

/** The version of onnxruntime-node, e.g. "1.30.0"; nothing is loaded. */
export function onnxruntimeVersion(): string {
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  return version;
}
