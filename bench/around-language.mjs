// A llava config around a language model, for programs that ask for a whole one; of its tower only the 49 features of 768 matter.
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
        hidden_size: 768,
        intermediate_size: 768,
        num_hidden_layers: 1,
        num_attention_heads: 12,
        image_size: 112,
        patch_size: 16,
      },
      text_config: parsed ? language.raw : language,
    },
    "bench",
  );
  return parsed ? { ...config, language } : config;
}
