// The import law as one table: an import goes to a lower layer, and folders of one layer never meet.

/** Folders (and single files) of src by layer, lowest first. */
export const layers = [
  ["errors.ts", "formats"],
  ["graph", "text", "image"],
  ["autodiff", "nn", "runtime", "hub", "endpoint"],
  ["models", "data"],
  ["generate"],
  ["teacher", "train", "evaluate"],
  ["serve", "export", "quickstart"],
  ["cli"],
];

/** The one step inside a layer: formats may use the error type. */
export const sameLayer = [["formats", "errors.ts"]];

/** Folders that only ever run in Node; elsewhere `node:` and the native packages need a file named `node.ts` or `*-node.ts`. */
export const nodeFolders = [
  "hub",
  "endpoint",
  "data",
  "teacher",
  "train",
  "evaluate",
  "serve",
  "export",
  "quickstart",
  "cli",
];

/** Packages with native code: bound to Node like `node:` modules. */
export const nativePackages = ["sharp", "onnxruntime-node"];
