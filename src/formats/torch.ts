// Reads what torch.save writes of a state dict (PyTorch 1.6 and newer): a ZIP archive with a pickle of names and shapes.
import { InputError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.ts";
import { type PickleRules, readPickle } from "./pickle.ts";
import { readZip, type ZipEntry } from "./zip.ts";

/** The storages that hold weights or buffers: bytes per element, and what safetensors calls such elements. */
const storages = {
  FloatStorage: { width: 4, dtype: "F32" },
  HalfStorage: { width: 2, dtype: "F16" },
  BFloat16Storage: { width: 2, dtype: "BF16" },
  DoubleStorage: { width: 8, dtype: "F64" },
  LongStorage: { width: 8, dtype: "I64" },
  IntStorage: { width: 4, dtype: "I32" },
  ShortStorage: { width: 2, dtype: "I16" },
  CharStorage: { width: 1, dtype: "I8" },
  ByteStorage: { width: 1, dtype: "U8" },
  BoolStorage: { width: 1, dtype: "BOOL" },
} as const;
type StorageName = keyof typeof storages;

/** A tensor of the file: where its storage lies, and how it looks into it. */
export interface TorchInfo {
  readonly storage: StorageName;
  /** as safetensors calls it */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** of the elements that the shape has; the storage may hold more */
  readonly byteLength: number;
  /** in elements, of the row-major view into the storage */
  readonly strides: readonly number[];
  readonly offset: number;
  readonly entry: ZipEntry;
}

export interface TorchFile {
  readonly name: string;
  /** a tensor in a dict of a dict has both keys in its name, with a point between */
  readonly tensors: ReadonlyMap<string, TorchInfo>;
  /** float32 values in row-major order; throws `TENSOR_MISSING`, `TENSOR_DTYPE` */
  loadFloat32(name: string): Promise<Float32Array<ArrayBuffer>>;
}

const MOST_PICKLE = 2 ** 26;
const MOST_ELEMENTS = 2 ** 31;
/** Dicts inside each other, and what all of them hold: a dict may stand in many places, even in itself. */
const MOST_DEPTH = 4;
const MOST_ENTRIES = 1e6;
const LONGEST_NAME = 1000;

class Storage {
  readonly name: StorageName;
  readonly entry: ZipEntry;
  constructor(name: StorageName, entry: ZipEntry) {
    this.name = name;
    this.entry = entry;
  }
}

class TensorView {
  readonly info: TorchInfo;
  constructor(info: TorchInfo) {
    this.info = info;
  }
}

/** Opens a state dict; nothing in it is executed. Throws `ZIP_INVALID`, `PICKLE_REFUSED`, `PICKLE_INVALID`, `TORCH_INVALID`. */
export async function readTorch(source: ByteSource): Promise<TorchFile> {
  await refuseOld(source);
  const entries = await readZip(source);
  const pickle = [...entries].find(([name]) => /^[^/]*\/data\.pkl$/.test(name));
  if (pickle === undefined) throw invalid(source, "a file data.pkl in the archive", "none");
  const [name, { byteOffset, byteLength }] = pickle;
  const folder = name.slice(0, -"data.pkl".length);
  if (byteLength > MOST_PICKLE) throw invalid(source, `a pickle of at most ${MOST_PICKLE} bytes`, `${byteLength}`);
  const order = entries.get(`${folder}byteorder`);
  if (order !== undefined && order.byteLength !== "little".length) throw invalid(source, "little-endian values", "big");
  const root = readPickle(await source.read(byteOffset, byteLength), rulesFor(source, folder, entries));
  if (!(root instanceof Map)) throw invalid(source, "a dict of names and tensors", "something else");
  const tensors = collect(source, root);
  if (tensors.size === 0) throw invalid(source, "a dict of names and tensors", "no tensor in it");
  return { name: source.name, tensors, loadFloat32: (tensor) => load(source, tensors, tensor) };
}

/** The tensors of a dict and of those inside it; whatever else stands there is left. */
function collect(source: ByteSource, root: ReadonlyMap<unknown, unknown>): Map<string, TorchInfo> {
  const tensors = new Map<string, TorchInfo>();
  let seen = 0;
  const walk = (dict: ReadonlyMap<unknown, unknown>, prefix: string, depth: number): void => {
    if (depth > MOST_DEPTH) throw invalid(source, `at most ${MOST_DEPTH} dicts inside each other`, "more");
    for (const [key, value] of dict) {
      if (++seen > MOST_ENTRIES) throw invalid(source, `at most ${MOST_ENTRIES} entries`, "more");
      if (typeof key !== "string" && typeof key !== "number") continue;
      const name = `${prefix}${key}`;
      if (name.length > LONGEST_NAME) throw invalid(source, `names of at most ${LONGEST_NAME} characters`, "more");
      if (value instanceof Map) walk(value, `${name}.`, depth + 1);
      if (!(value instanceof TensorView)) continue;
      if (tensors.has(name)) throw invalid(source, "each name once", `${name.slice(0, 80)} again`);
      tensors.set(name, value.info);
    }
  };
  walk(root, "", 1);
  return tensors;
}

/** Before PyTorch 1.6 the file was a row of pickles. */
async function refuseOld(source: ByteSource): Promise<void> {
  const start = await source.read(0, Math.min(2, source.size));
  if (start[0] !== 0x80) return;
  throw new InputError("TORCH_INVALID", {
    expected: "a file of PyTorch 1.6 or newer, a ZIP archive",
    got: "a pickle",
    where: source.name,
    fix: "load and save it with a newer PyTorch, best as safetensors",
  });
}

/** The few things that a state dict calls. */
function rulesFor(source: ByteSource, folder: string, entries: ReadonlyMap<string, ZipEntry>): PickleRules {
  const isStorage = (name: string): name is `torch.${StorageName}` =>
    /^torch\.\w+Storage$/.test(name) && name.slice(6) in storages;
  return {
    where: source.name,
    globals: new Set([
      ...Object.keys(storages).map((name) => `torch.${name}`),
      "collections.OrderedDict",
      "torch._utils._rebuild_tensor_v2",
      "torch._utils._rebuild_parameter",
    ]),
    call: (name, args) => {
      if (name === "collections.OrderedDict") return new Map();
      if (name === "torch._utils._rebuild_parameter") return args[0];
      return name === "torch._utils._rebuild_tensor_v2" ? rebuild(source, args) : undefined;
    },
    persistent: (id) => {
      const [kind, type, key] = Array.isArray(id) ? (id as unknown[]) : [];
      const name = (type as { readonly name?: unknown } | undefined)?.name;
      const entry = typeof key === "string" ? entries.get(`${folder}data/${key}`) : undefined;
      if (kind !== "storage" || typeof name !== "string" || !isStorage(name) || entry === undefined) {
        throw invalid(source, "a storage inside the archive", "something else");
      }
      return new Storage(name.slice("torch.".length) as StorageName, entry);
    },
  };
}

function rebuild(source: ByteSource, [storage, offset, shape, strides]: readonly unknown[]): TensorView {
  if (!(storage instanceof Storage) || !isNatural(offset) || !isNaturals(shape) || !isNaturals(strides)) {
    throw invalid(source, "a tensor of storage, offset, shape and strides", "something else");
  }
  const elements = shape.reduce((product, n) => product * n, 1);
  const reach = shape.reduce((sum, n, i) => sum + Math.max(0, n - 1) * (strides[i] ?? Number.NaN), offset + 1);
  const held = storage.entry.byteLength / storages[storage.name].width;
  if (
    !Number.isInteger(held) ||
    shape.length !== strides.length ||
    elements > MOST_ELEMENTS ||
    (elements > 0 && !(reach <= held))
  ) {
    throw invalid(
      source,
      `a tensor inside its ${held} elements`,
      `[${shape.slice(0, 8).join(", ")}] reaching ${reach}`,
    );
  }
  const { width, dtype } = storages[storage.name];
  const byteLength = elements * width;
  return new TensorView({ storage: storage.name, dtype, byteLength, shape, strides, offset, entry: storage.entry });
}

async function load(
  source: ByteSource,
  tensors: ReadonlyMap<string, TorchInfo>,
  name: string,
): Promise<Float32Array<ArrayBuffer>> {
  const info = tensors.get(name);
  const where = source.name;
  if (info === undefined) {
    throw new InputError("TENSOR_MISSING", { expected: `tensor ${name}`, got: `${tensors.size} others`, where });
  }
  const { storage, shape, strides, offset, entry } = info;
  const { width } = storages[storage];
  const elements = shape.reduce((product, n) => product * n, 1);
  const contiguous = isContiguous(shape, strides);
  const [first, count] = contiguous ? [offset, elements] : [0, entry.byteLength / width];
  const bytes = await source.read(entry.byteOffset + first * width, count * width);
  const values = toFloat32(storage, bytes, `${where}, tensor ${name}`);
  return contiguous ? values : gather(values, info, elements);
}

function toFloat32(
  storage: StorageName,
  { buffer }: Uint8Array<ArrayBuffer>,
  where: string,
): Float32Array<ArrayBuffer> {
  if (storage === "FloatStorage") return new Float32Array(buffer);
  if (storage === "HalfStorage") return float16ToFloat32(new Uint16Array(buffer));
  if (storage === "BFloat16Storage") return bfloat16ToFloat32(new Uint16Array(buffer));
  if (storage === "DoubleStorage") return Float32Array.from(new Float64Array(buffer));
  throw new InputError("TENSOR_DTYPE", { expected: "floating-point values", got: storage, where });
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== step) return false;
    step *= shape[i]!;
  }
  return true;
}

/** Elements in row-major order from wherever strides put them. */
function gather(
  values: Float32Array,
  { shape, strides, offset }: TorchInfo,
  elements: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(elements);
  const index = shape.map(() => 0);
  for (let o = 0, at = offset; o < elements; o++) {
    out[o] = values[at]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      index[axis] = (index[axis]! + 1) % shape[axis]!;
      if (index[axis]! > 0) break;
      at -= strides[axis]! * shape[axis]!;
    }
  }
  return out;
}

const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isNaturals = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= 8 && value.every(isNatural);

function invalid(source: ByteSource, expected: string, got: string): InputError {
  return new InputError("TORCH_INVALID", { expected, got, where: source.name, fix: "fetch the file again" });
}
