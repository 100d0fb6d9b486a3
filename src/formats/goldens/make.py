"""Makes the goldens beside this file with the reference libraries: pip install gguf==0.19.0 safetensors==0.8.0 numpy"""
import base64, json, pathlib
import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

here = pathlib.Path(__file__).parent
random = np.random.default_rng(0)
b64 = lambda array: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def blocks(kind, count):
    """random blocks: every code occurs, the float16 scales are finite"""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    raw = random.integers(0, 256, (count, size), dtype=np.uint8)
    halves = {T.Q4_1: [0, 2], T.Q5_1: [0, 2], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}.get(kind, [0])
    for at in halves:
        raw[:, at : at + 2] = random.normal(0, 0.05, (count, 1)).astype(np.float16).view(np.uint8)
    return raw.reshape(-1)


quantised = {}
for kind in [T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q4_K, T.Q5_K, T.Q6_K]:
    elements, _ = gguf.GGML_QUANT_SIZES[kind]
    raw = blocks(kind, 512 // elements)
    quantised[kind.name] = {"blocks": b64(raw), "float32": b64(gguf.dequantize(raw, kind).astype(np.float32))}
(here / "dequantised.json").write_text(json.dumps(quantised, indent=1) + "\n")

writer = gguf.GGUFWriter(here / "small.gguf", "llama")
writer.add_uint8("n.u8", 200), writer.add_int8("n.i8", -7), writer.add_uint16("n.u16", 60_000)
writer.add_int16("n.i16", -300), writer.add_uint32("n.u32", 4_000_000_000), writer.add_int32("n.i32", -70_000)
writer.add_uint64("n.u64", 2**63 + 1), writer.add_int64("n.i64", -(2**40)), writer.add_float32("n.f32", 0.5)
writer.add_float64("n.f64", 0.1), writer.add_bool("n.bool", True), writer.add_string("text", "grüße 👁")
writer.add_array("texts", ["a", "", "ċ"]), writer.add_array("floats", [0.5, -2.0]), writer.add_array("ints", [1, -2, 3])
writer.add_tensor("matrix", np.arange(6, dtype=np.float32).reshape(2, 3))
writer.add_tensor("half", np.array([[1.5, -2.0, 65504.0]], dtype=np.float16))
writer.add_tensor("blocks", gguf.quantize(np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 64), T.Q8_0), raw_dtype=T.Q8_0)
writer.add_tensor("cube", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()

save_file(
    {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
        "half": np.array([1.5, -2.0, 65504.0], dtype=np.float16),
        "ids": np.array([[-100, 500]], dtype=np.int64),
        "flags": np.array([True, False, True]),
        "scalar": np.array(0.25, dtype=np.float32),
        "empty": np.zeros((0, 4), dtype=np.float32),
    },
    here / "small.safetensors",
    metadata={"format": "pt", "author": "grüße"},
)
