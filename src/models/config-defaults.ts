// What a llava checkpoint leaves out of its text_config: transformers' defaults for LLaMA (its LlamaConfig), LLaVA-1.5-7B's shape.

const llama = {
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
};

/** The same config with the shape written out; anything but an object is left to be refused. */
export function withLlamaDefaults(config: unknown): unknown {
  if (typeof config !== "object" || config === null || Array.isArray(config)) return config;
  const { model_type: type = "llama" } = config as { readonly model_type?: unknown };
  return type === "llama" ? { ...llama, model_type: type, ...config } : config;
}
