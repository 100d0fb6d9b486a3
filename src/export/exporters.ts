// The doors by name.
import type { Exporter } from "./exporter.ts";
import { gguf } from "./gguf.ts";
import { hf } from "./hf.ts";
import { onnx } from "./onnx.ts";

export const exporters: Readonly<Record<string, Exporter>> = { hf, gguf, onnx };
