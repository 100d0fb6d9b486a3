// AdamW with float32 moments (Loshchilov & Hutter, arXiv 1711.05101; PyTorch's `AdamW`): 8 bytes a parameter.
import { kept, type Optimiser } from "./optimiser.ts";

export const adamw: Optimiser = {
  state: (_, shape) => ({ m: { dtype: "float32", shape }, v: { dtype: "float32", shape } }),
  update(pass, weight, { betas, ...options }) {
    pass.call({
      kernel: "adamw",
      parameter: weight.parameter,
      gradient: weight.gradient,
      m: kept(weight, "m", "float32"),
      v: kept(weight, "v", "float32"),
      beta1: betas[0],
      beta2: betas[1],
      ...options,
    });
  },
};
