"""How far AdamW with 8-bit moments strays from AdamW: our tiny floats, rounded to the nearest or at random, and the
dynamic table of Dettmers et al. (arXiv 2110.02861, section 2), all in blocks of 256, on gradients whose sizes within a
block spread over some decades and fall to a fifth half-way. Prints the root mean square difference of the updates and of
where the weights end, relative to AdamW's own.

    python bench/moments.py        (numpy alone; seconds)
"""
import numpy as np

random = np.random.default_rng(0)
weights, steps, block = 2048, 300, 256
beta1, beta2, rate, epsilon = 0.9, 0.999, 1e-2, 1e-8


def dynamic(signed):
    """k zeros, a one, and the remaining bits a fraction of the decade 10^-k: section 2's dynamic tree."""
    bits = 7 if signed else 8
    positive = [
        10.0**-k * (0.1 + 0.9 * (np.arange(2 ** (bits - 1 - k)) + 0.5) / 2 ** (bits - 1 - k)) for k in range(bits)
    ]
    table = np.concatenate([*positive, [0.0, 1.0]])
    table = np.unique(np.concatenate([table, -table]) if signed else table)

    def round_trip(x):
        rows = x.reshape(-1, block)
        scale = np.maximum(np.abs(rows).max(1, keepdims=True), 1e-30)
        right = np.clip(np.searchsorted(table, rows / scale), 1, len(table) - 1)
        nearer = rows / scale - table[right - 1] < table[right] - rows / scale
        return (np.where(nearer, table[right - 1], table[right]) * scale).reshape(-1)

    return round_trip


def floats(exponent_bits, signed, at_random):
    bias = (127 - (2**exponent_bits - 1)) << 3

    def round_trip(x):
        rows = x.reshape(-1, block)
        scale = np.maximum(np.abs(rows).max(1, keepdims=True), 2.0**-100) / 1.875
        bits = (np.abs(rows) / scale).astype(np.float32).view(np.int32).astype(np.int64)
        offset = random.integers(0, 2**20, rows.shape) if at_random else 2**19
        code = np.clip(((bits + offset) >> 20) - bias, 0, 2 ** (exponent_bits + 3) - 1)
        value = ((code + bias) << 20).astype(np.int32).view(np.float32) * scale
        return (np.sign(rows) * np.where(code == 0, 0, value) if signed else value).reshape(-1)

    return round_trip


schemes = {
    "dynamic table, nearest": (dynamic(True), dynamic(False)),
    "tiny floats, nearest": (floats(4, True, False), floats(5, False, False)),
    "tiny floats, at random": (floats(4, True, True), floats(5, False, True)),
}
for decades in (1, 2, 3, 4):
    size = 10 ** (-decades * ((np.arange(weights) * 0.618) % 1))
    states = {name: np.zeros((3, weights)) for name in ["exact", *schemes]}
    wrong, whole = dict.fromkeys(schemes, 0.0), 0.0
    for step in range(1, steps + 1):
        g = (random.standard_normal(weights) + 0.3) * size * (0.2 if step > steps / 2 else 1)
        updates = {}
        for name, (p, m, v) in states.items():
            m += (1 - beta1) * (g - m)
            v += (1 - beta2) * (g * g - v)
            updates[name] = rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
            p -= updates[name]
            if name != "exact":
                m[:], v[:] = (round_trip(x) for round_trip, x in zip(schemes[name], (m, v)))
        whole += (updates["exact"] ** 2).sum()
        for name in schemes:
            wrong[name] += ((updates[name] - updates["exact"]) ** 2).sum()
    for name in schemes:
        exact = states["exact"][0]
        end = np.linalg.norm(states[name][0] - exact) / np.linalg.norm(exact)
        print(f"{decades} decades  {name:24} updates {np.sqrt(wrong[name] / whole):8.3f}   end {end:7.3f}")
