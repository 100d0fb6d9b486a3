// The import law as one table: an import goes to a lower layer, and folders of one layer never meet.

/** Folders (and single files) of src by layer, lowest first, each with what it holds. */
const table = [
  { "errors.ts": "one error type with stable codes", formats: "bytes ⇄ plain data: safetensors, GGUF, protobuf, JSON" },
  {
    graph: "values, the op table, shape rules, ONNX encoding",
    text: "tokenizer, chat templates, which tokens are learned",
    image: "decode, resize as Pillow does, normalise",
    pages: "HTML from templates that escape, pages that need nothing else",
  },
  {
    autodiff: "one rule per op, the backward walk",
    nn: "linear, norm, attention, rotary positions, loss",
    runtime: "the engine: ONNX Runtime in a worker, plain loops",
    hub: "pull models and cache them",
    endpoint: "a client for OpenAI-compatible endpoints",
  },
  {
    models: "CLIP, SigLIP, ViT, projector, LLaMA; checkpoints in and out",
    data: "samples: sources, checks, tokens and masks, packing",
    queue: "many workers over PostgreSQL: one ledger, one budget, jobs with leases",
  },
  { generate: "KV cache, sampling, chat" },
  {
    teacher: "captions and boxes → conversations",
    train: "recipe, stages, steps, checkpoints, report",
    evaluate: "tasks with scores, sighted and blind",
  },
  {
    serve: "an OpenAI-compatible server",
    export: "models for other tools",
    review: "a local page to accept, edit and reject samples",
    quickstart: "scenes drawn by code, and the whole journey on them",
  },
  { cli: "the llava command: one verb per file" },
];

/** Names by layer. */
export const layers = table.map((folders) => Object.keys(folders));

/** What each folder of src holds. */
export const clauses = Object.assign({}, ...table);

/** The one step inside a layer: formats may use the error type. */
export const sameLayer = [["formats", "errors.ts"]];

/** Folders that only ever run in Node; elsewhere `node:` and native packages need a file named node.ts or *-node.ts. */
export const nodeFolders = [
  "hub",
  "endpoint",
  "data",
  "queue",
  "teacher",
  "train",
  "evaluate",
  "serve",
  "export",
  "review",
  "quickstart",
  "cli",
];

/** Packages with native code: bound to Node like `node:` modules. */
export const nativePackages = ["sharp", "onnxruntime-node"];
