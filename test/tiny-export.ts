// A whole tiny llava directory with random weights and a byte-level tokenizer, for what reads or exports one.
import { parsePreprocessor } from "../src/image/preprocessor.ts";
import { saveModel } from "../src/models/save-node.ts";
import { createTokenizer } from "../src/text/tokenizer.ts";
import { tinyFiles } from "../src/text/tokenizers.fixture.ts";
import { tinyConfig, tinyJson, tinyModel } from "./tiny-model.ts";

/** Writes the model; `changes` to its config.json may give text_config and vision_config of their own. */
export async function writeTinyLlava(folder: string, changes: Readonly<Record<string, object>> = {}): Promise<void> {
  const { tokenizer, config } = tinyFiles("bytes");
  const added = createTokenizer({ tokenizerJson: tokenizer, tokenizerConfig: config, where: "tiny" }).withAdded([
    "<image>",
  ]);
  const size = { height: 16, width: 16 };
  const llava = tinyConfig({
    ...changes,
    image_token_index: added.tokenizer.controlId("<image>"),
    text_config: { ...tinyJson.text_config, ...changes["text_config"], vocab_size: added.tokenizer.vocabSize },
    vision_config: { ...tinyJson.vision_config, projection_dim: 16, ...changes["vision_config"] },
  });
  await saveModel(folder, {
    ...tinyModel(llava),
    tokenizerFiles: { where: "tiny", ...added },
    preprocessor: parsePreprocessor({ image_processor_type: "CLIPImageProcessor", size, crop_size: size }, "tiny"),
    endIds: [added.tokenizer.eos?.id ?? 0],
  });
}
