// AdamW with 8-bit moments (block-wise as Dettmers et al. 2022, arXiv 2110.02861): 2 bytes a parameter instead of 8.
import { sizeOf } from "../../graph/tensor.ts";
import { momentBlock } from "../../runtime/moments.ts";
import { adamw } from "./adamw.ts";
import { kept, type Optimiser } from "./optimiser.ts";

/** Smaller weights (norms, biases) keep float32 moments, as in bitsandbytes: they are few, and every one counts. */
const fewest = 4096;

export const adamw8bit: Optimiser = {
  state(name, shape) {
    const size = sizeOf(shape);
    if (size < fewest) return adamw.state(name, shape);
    return {
      m: { dtype: "uint8", shape },
      v: { dtype: "uint8", shape },
      scales: { dtype: "float32", shape: [Math.ceil(size / momentBlock), 2] },
    };
  },
  update(pass, weight, options) {
    if (sizeOf(weight.shape) < fewest) return adamw.update(pass, weight, options);
    const { betas, ...rest } = options;
    pass.call({
      kernel: "adamw8bit",
      parameter: weight.parameter,
      gradient: weight.gradient,
      m: kept(weight, "m", "uint8"),
      v: kept(weight, "v", "uint8"),
      scales: kept(weight, "scales", "float32"),
      beta1: betas[0],
      beta2: betas[1],
      ...rest,
    });
  },
};
