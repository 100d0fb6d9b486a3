// The two tiny bases as Hugging Face describes them.

/** A CLIP tower: 96 × 96 pixels, 64 patches of 12 × 12. */
export const visionConfigJson = {
  architectures: ["CLIPVisionModel"],
  model_type: "clip_vision_model",
  hidden_size: 96,
  intermediate_size: 384,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_channels: 3,
  image_size: 96,
  patch_size: 12,
  projection_dim: 96,
  hidden_act: "quick_gelu",
  layer_norm_eps: 1e-5,
  torch_dtype: "float16",
} as const;

export const preprocessorJson = {
  image_processor_type: "CLIPImageProcessor",
  do_resize: true,
  size: { shortest_edge: 96 },
  resample: 3,
  do_center_crop: true,
  crop_size: { height: 96, width: 96 },
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
  do_convert_rgb: true,
} as const;

export const vocabularySize = 1024;

/** A LLaMA decoder with tied embeddings. */
export const languageConfigJson = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: vocabularySize,
  hidden_size: 128,
  intermediate_size: 384,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  max_position_embeddings: 1024,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: "silu",
  tie_word_embeddings: true,
  attention_bias: false,
  mlp_bias: false,
  bos_token_id: null,
  eos_token_id: 2,
  pad_token_id: 0,
  torch_dtype: "float16",
} as const;
