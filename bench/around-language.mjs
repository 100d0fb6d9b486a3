// A llava config around a language model alone, for programs that ask for a whole one; no picture stands in their rows.
import { parseLlavaConfig } from "../dist/models/config.js";

/** `language` is a parsed config, or the text_config of one. */
export function aroundLanguage(language) {
  const parsed = "hiddenSize" in language;
  const config = parseLlavaConfig(
    {
      model_type: "llava",
      image_token_index: 0,
      vision_feature_layer: -1,
      vision_config: {
        model_type: "clip_vision_model",
        hidden_size: 16,
        intermediate_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        image_size: 16,
        patch_size: 16,
      },
      text_config: parsed ? language.raw : language,
    },
    "bench",
  );
  return parsed ? { ...config, language } : config;
}
