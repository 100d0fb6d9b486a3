// Reading and writing preprocessor_config.json: defaults, old and new layouts, damaged fields, round trips.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError } from "../errors.ts";
import {
  inputSize,
  parsePreprocessor,
  type Preprocessor,
  preprocessorKey,
  withFit,
  writePreprocessor,
} from "./preprocessor.ts";

const parse = (json: unknown): Preprocessor => parsePreprocessor(json, "preprocessor_config.json");

function refusal(json: unknown): InputError {
  try {
    parse(json);
  } catch (error) {
    if (error instanceof InputError) return error;
  }
  return expect.fail("was not refused");
}

describe("parsePreprocessor", () => {
  it("takes the class defaults of transformers for what is absent or null", () => {
    const clip = parse({ image_processor_type: "CLIPImageProcessor", size: null, do_resize: null });
    expect(clip).toMatchObject({ family: "clip", resize: 224, crop: { width: 224, height: 224 }, filter: "bicubic" });
    expect(clip.rescale).toBe(1 / 255);
    const siglip = parse({ image_processor_type: "SiglipImageProcessor", do_center_crop: null });
    expect(siglip).toMatchObject({
      resize: { width: 224, height: 224 },
      crop: null,
      filter: "bicubic",
      mean: [0.5, 0.5, 0.5],
    });
    expect(parse({ image_processor_type: "ViTImageProcessor" }).filter).toBe("bilinear");
  });

  it("reads the layout of old files", () => {
    const json = { feature_extractor_type: "CLIPFeatureExtractor", size: 336, crop_size: 336, resample: 3 };
    expect(parse(json)).toMatchObject({ resize: 336, crop: { width: 336, height: 336 } });
    const vit = parsePreprocessor({ size: 384, image_mean: [0.5, 0.5, 0.5] }, "old", "vit");
    expect(vit.resize).toEqual({ width: 384, height: 384 });
    expect(parse({ image_processor_type: "ViTImageProcessorFast", size: [192, 256] }).resize).toEqual({
      width: 256,
      height: 192,
    });
  });

  it("finds the image processor inside processor_config.json", () => {
    const inner = {
      image_processor_type: "LlavaImageProcessorFast",
      do_pad: true,
      crop_size: { height: 336, width: 336 },
    };
    const json = { image_processor: { ...inner, size: { shortest_edge: 336 } }, processor_class: "LlavaProcessor" };
    const parsed = parse(json);
    expect([parsed.padToSquare, parsed.resize, inputSize(parsed)]).toEqual([true, 336, { width: 336, height: 336 }]);
  });

  const vit = { image_processor_type: "ViTImageProcessor" };
  it.each([
    ["another class", { image_processor_type: "Qwen2VLImageProcessor" }, "PREPROCESSOR_KIND", "Qwen2VLImageProcessor"],
    ["no class", { size: 224 }, "PREPROCESSOR_KIND", "image_processor_type"],
    ["a list", [], "PREPROCESSOR_FIELD", "an object"],
    ["null", null, "PREPROCESSOR_FIELD", "an object"],
    ["a huge size", { ...vit, size: { height: 1e9, width: 224 } }, "PREPROCESSOR_FIELD", "size.height"],
    ["half a size", { ...vit, size: { height: 224 } }, "PREPROCESSOR_FIELD", "size.width"],
    [
      "a longest edge",
      { ...vit, size: { shortest_edge: 224, longest_edge: 300 } },
      "PREPROCESSOR_FIELD",
      "longest_edge",
    ],
    ["a negative size", { ...vit, size: -1 }, "PREPROCESSOR_FIELD", "size"],
    ["nearest neighbour", { ...vit, resample: 0 }, "PREPROCESSOR_FIELD", "resample"],
    ["two means", { ...vit, image_mean: [0.5, 0.5] }, "PREPROCESSOR_FIELD", "image_mean"],
    ["a zero deviation", { ...vit, image_std: [0.5, 0, 0.5] }, "PREPROCESSOR_FIELD", "image_std[1]"],
    ["a flag in words", { ...vit, do_resize: "yes" }, "PREPROCESSOR_FIELD", "do_resize"],
    ["a size that varies", { ...vit, size: { shortest_edge: 224 } }, "PREPROCESSOR_FIELD", "fixed input size"],
    ["no resizing at all", { ...vit, do_resize: false }, "PREPROCESSOR_FIELD", "fixed input size"],
  ])("refuses %s", (_, json, code, words) => {
    const error = refusal(json);
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
    expect(error.message).toContain("preprocessor_config.json");
  });

  it("gives a preprocessor or an InputError for any JSON", () => {
    const names = [
      "size",
      "crop_size",
      "do_resize",
      "do_center_crop",
      "resample",
      "image_mean",
      "image_std",
      "rescale_factor",
    ];
    const fields = fc.dictionary(fc.constantFrom(...names), fc.jsonValue());
    fc.assert(
      fc.property(fields, (json) => {
        try {
          inputSize(parse({ ...json, image_processor_type: "CLIPImageProcessor" }));
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
        }
      }),
    );
  });
});

const side = fc.integer({ min: 1, max: 4096 });
const size = fc.record({ width: side, height: side });
const fraction = fc.double({ min: 0.01, max: 2, noNaN: true });
const preprocessors = fc
  .record({
    family: fc.constant("clip" as const),
    padToSquare: fc.constant(false),
    resize: fc.oneof(size, side, fc.constant(null)),
    filter: fc.constantFrom("bilinear", "bicubic", "lanczos", "box", "hamming"),
    crop: size,
    rescale: fc.option(fraction),
    mean: fc.tuple(fraction, fraction, fraction),
    std: fc.tuple(fraction, fraction, fraction),
    normalise: fc.boolean(),
  })
  .chain((made) =>
    fc.constantFrom<Preprocessor>(made, withFit(made, "pad"), withFit(made, "stretch"), withFit(made, "crop")),
  );

describe("writePreprocessor", () => {
  it("writes what parsePreprocessor reads back as the same steps", () => {
    fc.assert(
      fc.property(preprocessors, (preprocessor) => {
        const read = parse(JSON.parse(JSON.stringify(writePreprocessor(preprocessor))));
        expect(read).toEqual(preprocessor);
        expect(preprocessorKey(read)).toBe(preprocessorKey(preprocessor));
      }),
    );
  });

  it("names the class that has the steps", () => {
    const vit = parse({ image_processor_type: "ViTImageProcessor" });
    expect(writePreprocessor(vit)["image_processor_type"]).toBe("ViTImageProcessor");
    expect(writePreprocessor(withFit(vit, "crop"))["image_processor_type"]).toBe("CLIPImageProcessor");
    expect(writePreprocessor(withFit(vit, "pad"))).toMatchObject({
      image_processor_type: "LlavaImageProcessor",
      do_pad: true,
    });
  });
});

describe("withFit and preprocessorKey", () => {
  const clip = parse({ image_processor_type: "CLIPImageProcessor", size: { shortest_edge: 256 } });

  it("keep the tower's size, and tell the fits apart", () => {
    const fits = (["crop", "pad", "stretch"] as const).map((fit) => withFit(clip, fit));
    expect(fits[0]).toBe(clip);
    for (const fitted of fits) expect(inputSize(fitted)).toEqual({ width: 224, height: 224 });
    expect(new Set(fits.map(preprocessorKey)).size).toBe(3);
  });

  it("crop again after another fit", () => {
    expect(withFit(withFit(clip, "pad"), "crop")).toMatchObject({
      padToSquare: false,
      resize: 224,
      crop: { width: 224, height: 224 },
    });
  });
});
