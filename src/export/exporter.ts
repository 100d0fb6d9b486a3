// What a door is: one file that writes a model in the layout of another tool.
import type { WrittenDType } from "../models/config-write.ts";
import type { LanguageFiles, LlavaFiles } from "../models/node.ts";

/** A model that can be exported: opened, its adapter (if any) merged into what its weights load. */
export type ExportModel = LlavaFiles | LanguageFiles;

export interface ExportSettings {
  /** element type of weights that are not quantised; absent: the door's own */
  readonly dtype?: WrittenDType;
  /** one of the door's `quantizations` */
  readonly quantize?: string;
  /** a file of weights is begun anew beyond so many bytes */
  readonly shardBytes: number;
  /** what files are named after where the layout has no names of its own */
  readonly name: string;
  /** told after each tensor */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Exporter {
  /** for `--help` and the model card */
  readonly title: string;
  readonly dtypes: readonly WrittenDType[];
  readonly quantizations: readonly string[];
  /** Throws `EXPORT_UNSUPPORTED` for what the layout can't say, before anything is written. */
  check(model: ExportModel): void;
  /** Writes all files into an empty folder. */
  write(model: ExportModel, folder: string, settings: ExportSettings): Promise<void>;
  /** Markdown: how the export is run by the tool that it is for. */
  usage(model: ExportModel, settings: ExportSettings): string;
}
