// llama.cpp's names of a picture encoder's weights (tools/mtmd/clip-impl.h) for ours.

const fixed: Readonly<Record<string, string>> = {
  "patch.weight": "v.patch_embd.weight",
  "patch.bias": "v.patch_embd.bias",
  class: "v.class_embd",
  position: "v.position_embd.weight",
  "pre_norm.weight": "v.pre_ln.weight",
  "pre_norm.bias": "v.pre_ln.bias",
};

/**
 * fc1 is called "down": for the projector type `mlp` llama.cpp takes the two in this older order, telling by their shape
 * (clip.cpp, "legacy naming"), and where both sides are as wide it takes no other.
 */
const inLayer: Readonly<Record<string, string>> = {
  norm1: "ln1",
  norm2: "ln2",
  q: "attn_q",
  k: "attn_k",
  v: "attn_v",
  o: "attn_out",
  fc1: "ffn_down",
  fc2: "ffn_up",
};

/** The mmproj file's name of one of our vision weights. */
export function ggufVisionName(name: string): string {
  const inside = /^layers\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name);
  return inside ? `v.blk.${inside[1]!}.${inLayer[inside[2]!]!}.${inside[3]!}` : fixed[name]!;
}

/** The mmproj file's name of one of our projector weights: `mm.0` and `mm.2` stand around the activation. */
export const ggufProjectorName = (name: string): string => name.replace("linear_1", "mm.0").replace("linear_2", "mm.2");
