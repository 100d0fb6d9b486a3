import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InputError } from "../errors.ts";
import { nearest } from "./recipe-nearest.ts";
import { checkRecipePaths } from "./recipe-paths.ts";
import { parseRecipe, readRecipe } from "./recipe-read.ts";
import { formatRecipe, type Recipe } from "./recipe.ts";

const text = `name: coco-lab
model:
  vision:    { path: models/vit, layer: -2, tokens: patch }
  projector: { kind: mlp2x_gelu, pixel_shuffle: 2 }
  language:  { path: models/smollm2 }
  template:  chatml
stages:
  - { name: align,    data: data/captions.json, images: photos, train: [projector], batch_size: 32, epochs: 2, template: plain }
  - name: instruct
    data: data/instruct.json
    images: photos
    train: [projector, language]
    batch_size: 8
    learning_rate: { projector: 1.0e-3, language: 2.0e-4 }
    steps: 100
output: runs/coco-lab
seed: 7
`;

const read = (yaml: string, sets: readonly string[] = []): Recipe => parseRecipe(yaml, "r.yaml", sets);

function refusal(work: () => unknown): InputError {
  try {
    work();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  return expect.fail("nothing was refused");
}

const lora = (keys: string, train = "[projector, language]"): string =>
  text
    .replace("train: [projector, language]", `train: ${train}\n    ${keys}`)
    .replace(/    learning_rate: \{ proj.*\n/, "");

describe("adapters in a recipe", () => {
  it("have defaults: rank 16, scaled by 2, every linear layer of the language model, a rate of their own", () => {
    const all = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    const [, stage] = read(lora("lora: {}")).stages;
    expect(stage).toMatchObject({ lora: { rank: 16, alpha: 32, targets: all }, learning_rate: { language: 2e-4 } });
    expect(read(lora("quantize: 4bit\n    lora: { targets: all, rank: 8 }")).stages[1]).toMatchObject({
      lora: { rank: 8, alpha: 16, targets: all },
      quantize: "4bit",
    });
  });

  it.each([
    ["lora: { rank: 0 }", undefined, "lora.rank"],
    ["lora: { targets: [q_prj] }", undefined, 'did you mean "q_proj"'],
    ["lora: {}", "[projector]", "some of the language, which train lacks"],
    ["lora: { targets: [linear_1] }", "[language]", "some of the projector, which train lacks"],
    ["quantize: 4bit", undefined, "a language model that is frozen or trained by lora"],
    ["quantize: 4bit\n    lora: { targets: [linear_1] }", undefined, "one whose weights are trained"],
    ["quantize: 8bit", undefined, "one of 4bit"],
  ])("refuse %s", (keys, train, said) => {
    expect(refusal(() => read(lora(keys, train))).message).toContain(said);
  });

  it("leave a frozen language model in 4 bits alone", () => {
    expect(read(lora("quantize: 4bit", "[projector]")).stages[1]).toMatchObject({ quantize: "4bit" });
  });
});

describe("a recipe", () => {
  it("has every default filled in", () => {
    expect(read(text)).toEqual({
      name: "coco-lab",
      model: {
        vision: { path: "models/vit", layer: -2, tokens: "patch" },
        projector: { kind: "mlp2x_gelu", pixel_shuffle: 2 },
        language: { path: "models/smollm2" },
        template: "chatml",
      },
      stages: [
        {
          name: "align",
          data: [{ path: "data/captions.json", images: "photos", weight: 1, mirror: false }],
          train: ["projector"],
          batch_size: 32,
          learning_rate: { projector: 1e-3 },
          epochs: 2,
          template: "plain",
          schedule: "cosine",
          warmup: 0.03,
          optimizer: "adamw",
          weight_decay: 0,
          betas: [0.9, 0.999],
          epsilon: 1e-8,
          max_grad_norm: 1,
          row_length: "auto",
          checkpoint_every: 200,
          keep: 2,
          on_nan: "stop",
          seed: 7,
        },
        expect.objectContaining({
          name: "instruct",
          learning_rate: { projector: 1e-3, language: 2e-4 },
          steps: 100,
          template: "chatml",
        }),
      ],
      output: "runs/coco-lab",
      seed: 7,
      cache: "runs/.cache",
    });
    expect(read(text).stages[1]).not.toHaveProperty("epochs");
  });

  it("goes on from a model, with pictures beside their data", () => {
    const recipe = read(
      "name: more\nmodel: { path: runs/a/model }\nstages: [{ name: s, data: [{ path: d/x.json, weight: 0.5, limit: 9 }], train: [language] }]",
    );
    expect(recipe.model).toEqual({ path: "runs/a/model" });
    expect(recipe.stages[0]).toMatchObject({
      data: [{ path: "d/x.json", images: "d", weight: 0.5, limit: 9 }],
      learning_rate: { language: 1e-4 },
      epochs: 1,
    });
    expect(recipe.output).toBe("runs/more");
  });

  it("shares pictures only where it says so", () => {
    const stages = (more: string) => read(text.replace("batch_size: 8", `batch_size: 8\n    ${more}`)).stages;
    expect(stages("share_pictures: 4")[1]).toMatchObject({ share_pictures: 4 });
    expect(stages("share_pictures: 4")[0]).not.toHaveProperty("share_pictures");
    expect(stages("share_pictures: 1")).toEqual(read(text).stages);
    expect(refusal(() => stages("share_pictures: 0")).message).toMatch(/instruct\.share_pictures/);
    expect(read(formatRecipe({ ...read(text), stages: stages("share_pictures: 4") })).stages).toEqual(
      stages("share_pictures: 4"),
    );
  });

  it("takes several files, each as a path or with its weight", () => {
    const [stage] = read(
      "name: two\nmodel: { path: m }\nstages: [{ name: s, data: [a/x.json, { path: b/y.json, limit: 9 }], train: [language] }]",
    ).stages;
    expect(stage?.data).toEqual([
      { path: "a/x.json", images: "a", weight: 1, mirror: false },
      { path: "b/y.json", images: "b", weight: 1, mirror: false, limit: 9 },
    ]);
  });

  it("lets a tower learn at a fifth of the others' rate, unless told", () => {
    const rates = (rest: string): unknown =>
      read(`name: more\nmodel: { path: m }\nstages: [{ name: s, data: d/x.json, train: [vision, projector]${rest} }]`)
        .stages[0]!.learning_rate;
    expect(rates("")).toEqual({ vision: 2e-5, projector: 1e-4 });
    expect(rates(", learning_rate: 3.0e-4")).toEqual({ vision: 3e-4, projector: 3e-4 });
    expect(rates(", learning_rate: { vision: 1.0e-6, projector: 1.0e-3 }")).toEqual({ vision: 1e-6, projector: 1e-3 });
  });

  it("reads back as written, whatever is overridden", () => {
    fc.assert(
      fc.property(
        fc.record({
          epochs: fc.double({ min: 0.01, max: 100, noNaN: true }),
          schedule: fc.constantFrom("cosine", "linear", "constant"),
          row_length: fc.oneof(fc.constant("auto"), fc.integer({ min: 1, max: 9999 })),
          warmup: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        (changes) => {
          const sets = Object.entries(changes).map(([key, value]) => `stages.align.${key}=${value}`);
          const recipe = read(text, sets);
          expect(recipe.stages[0]).toMatchObject(changes);
          expect(read(formatRecipe(recipe))).toEqual(recipe);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("--set", () => {
  it("finds stages by name and index, and makes new keys", () => {
    const recipe = read(text, [
      "stages.instruct.batch_size=4",
      "stages.0.train=[projector, language]",
      "model.vision.fit=pad",
      "output=runs/a=b",
    ]);
    expect(recipe.stages.map((stage) => [stage.batch_size, stage.train.length])).toEqual([
      [32, 2],
      [4, 2],
    ]);
    expect(recipe.model).toMatchObject({ vision: { fit: "pad", layer: -2 } });
    expect(recipe.output).toBe("runs/a=b");
  });

  it.each([
    ["epochs", "RECIPE_OVERRIDE", /KEY=VALUE/],
    ["stages.algin.epochs=1", "RECIPE_OVERRIDE", /one of align, instruct.*did you mean "align"/],
    ["stages.7.epochs=1", "RECIPE_OVERRIDE", /one of align, instruct/],
    ["name.x=1", "RECIPE_OVERRIDE", /name, a plain value/],
    ["seed=[", "RECIPE_OVERRIDE", /YAML value/],
    ["stages.align.epoch=1", "RECIPE_UNKNOWN_KEY", /--set stages.align.epoch=1.*did you mean "epochs"/],
    ["stages.align.epochs=many", "RECIPE_VALUE", /a number, got "many" \(--set stages.align.epochs=many/],
  ])("refuses %s", (override, code, message) => {
    const error = refusal(() => read(text, [override]));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

describe("a wrong recipe is refused", () => {
  const change = (from: string, to: string): string => {
    expect(text).toContain(from);
    return text.replace(from, to);
  };
  it.each([
    [
      "an unknown key",
      change("batch_size: 8", "batch_sise: 8"),
      "RECIPE_UNKNOWN_KEY",
      /r.yaml:13 stages.instruct.batch_sise\); did you mean "batch_size"/,
    ],
    [
      "an unknown key at the top",
      change("seed: 7", "sead: 7"),
      "RECIPE_UNKNOWN_KEY",
      /r.yaml:17 sead\); did you mean "seed"/,
    ],
    [
      "an unknown key of the model",
      change("template:  chatml", "tower: x"),
      "RECIPE_UNKNOWN_KEY",
      /one of vision, projector, language, template, new_tokens, path, got "tower" \(r.yaml:6/,
    ],
    ["a mistyped needed key", change("language:  {", "langage:  {"), "RECIPE_UNKNOWN_KEY", /did you mean "language"/],
    [
      "a key in a flow mapping",
      change("layer: -2", "layr: -2"),
      "RECIPE_UNKNOWN_KEY",
      /r.yaml:3 model.vision.layr\); did you mean "layer"/,
    ],
    ["a wrong type", change("seed: 7", "seed: seven"), "RECIPE_VALUE", /a number, got "seven" \(r.yaml:17 seed/],
    [
      "a fraction where a whole number belongs",
      change("batch_size: 8", "batch_size: 8.5"),
      "RECIPE_VALUE",
      /a whole number, got 8.5 \(r.yaml:13 stages.instruct.batch_size/,
    ],
    ["too small a number", change("batch_size: 8", "batch_size: 0"), "RECIPE_VALUE", /a number of more than 0, got 0/],
    [
      "a wrong choice",
      change("kind: mlp2x_gelu", "kind: mlp"),
      "RECIPE_VALUE",
      /one of mlp2x_gelu, linear, got "mlp" \(r.yaml:4 model.projector.kind/,
    ],
    [
      "a template that is none",
      change("template:  chatml", "template: chat_ml"),
      "RECIPE_VALUE",
      /one of model, plain, .*chatml.*, got "chat_ml" \(r.yaml:6 model.template\); did you mean "chatml"/,
    ],
    [
      "a wrong part",
      change("train: [projector, language]", "train: [all]"),
      "RECIPE_VALUE",
      /one of vision, projector, language, got "all" \(r.yaml:12/,
    ],
    [
      "a missing key",
      change("    data: data/instruct.json\n", ""),
      "RECIPE_VALUE",
      /text or a list, got nothing \(r.yaml:9 stages.instruct.data/,
    ],
    [
      "a value of no type that fits",
      change("data: data/instruct.json", "data: 3"),
      "RECIPE_VALUE",
      /text or a list, got 3 \(r.yaml:10/,
    ],
    [
      "no stage",
      change(text.slice(text.indexOf("stages:"), text.indexOf("output:")), "stages: []\n"),
      "RECIPE_VALUE",
      /a list of at least 1, got an empty list/,
    ],
    [
      "epochs and steps",
      change("steps: 100", "steps: 100\n    epochs: 1"),
      "RECIPE_VALUE",
      /either epochs or steps, got both \(r.yaml:15 stages.instruct.steps/,
    ],
    [
      "a rate for a frozen part",
      change("train: [projector, language]", "train: [language]"),
      "RECIPE_VALUE",
      /one for projector, which stays frozen \(r.yaml:14/,
    ],
    ["a part without a rate", change(", language: 2.0e-4", ""), "RECIPE_VALUE", /none for language \(r.yaml:14/],
    [
      "an evaluation of nothing",
      change("steps: 100", "steps: 100\n    evaluate: { every: 10 }"),
      "RECIPE_VALUE",
      /held_out, questions, or both, got neither \(r.yaml:16 stages.instruct.evaluate/,
    ],
    [
      "half a picture",
      change("steps: 100", "steps: 100\n    evaluate: { held_out: 1.5 }"),
      "RECIPE_VALUE",
      /a whole number of pictures, or a share below 1, got 1.5 \(r.yaml:16 stages.instruct.evaluate.held_out/,
    ],
    [
      "a score without questions",
      change("steps: 100", "steps: 100\n    evaluate: { held_out: 5, best: score }"),
      "RECIPE_VALUE",
      /questions, to have a score to compare, got none \(r.yaml:16 stages.instruct.evaluate.best/,
    ],
    [
      "a mistyped patience",
      change("steps: 100", "steps: 100\n    evaluate: { held_out: 5, stop_afer: 3 }"),
      "RECIPE_UNKNOWN_KEY",
      /got "stop_afer" \(r.yaml:16 .*did you mean "stop_after"/,
    ],
    ["an infinite rate", change("1.0e-3", ".inf"), "RECIPE_VALUE", /r.yaml:14/],
    ["two stages of one name", change("name: instruct", "name: align"), "RECIPE_VALUE", /align twice \(r.yaml:9/],
    [
      "a name that leaves its folder",
      change("name: coco-lab", "name: ../x"),
      "RECIPE_VALUE",
      /letters, digits.*got "..\/x" \(r.yaml:1 name/,
    ],
    ["nothing", "", "RECIPE_VALUE", /a mapping of keys to values, got nothing \(r.yaml\)/],
    ["a list", "- a\n", "RECIPE_VALUE", /a mapping of keys to values, got a list of 1/],
    ["YAML cut off", text.slice(0, 120), "RECIPE_YAML", /valid YAML.*r.yaml:\d+:\d+/],
    ["a key twice", `${text}seed: 1\n`, "RECIPE_YAML", /r.yaml:18/],
    ["an alias without anchor", "name: *x\n", "RECIPE_YAML", /r.yaml/],
    [
      "a bomb of aliases",
      `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]\n`,
      "RECIPE_YAML",
      /r.yaml/,
    ],
  ])("%s", (_, yaml, code, message) => {
    const error = refusal(() => read(yaml));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("\n");
  });

  it("any text gives a recipe or a typed error", () => {
    fc.assert(
      fc.property(fc.nat(text.length), fc.nat(8), fc.string({ maxLength: 8 }), (at, cut, inserted) => {
        const broken = text.slice(0, at) + inserted + text.slice(at + cut);
        try {
          read(broken);
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("a stage's evaluation", () => {
  const evaluated = (evaluate: string) => read(text, [`stages.instruct.evaluate=${evaluate}`]).stages[1]!.evaluate;
  const file = { path: "q/pope.jsonl", images: "photos" };

  it.each([
    ["{ held_out: 0.1 }", { every: 200, held_out: 0.1, answers: 3, best: "loss", keep: "last" }],
    [
      "{ questions: q/pope.jsonl }",
      { every: 200, questions: { ...file, task: "pope" }, answers: 0, best: "score", keep: "last" },
    ],
    [
      "{ every: 5, held_out: q/pope.jsonl, questions: { path: q/v.json, images: i, task: vqa, limit: 9 }, answers: 1, stop_after: 2 }",
      {
        ...{ every: 5, held_out: file, questions: { path: "q/v.json", images: "i", task: "vqa", limit: 9 } },
        ...{ answers: 1, best: "loss", stop_after: 2, keep: "best" },
      },
    ],
  ])("has every default filled in: %s", (written, expected) => {
    expect(evaluated(written)).toEqual(expected);
    expect(evaluated(JSON.stringify(expected))).toEqual(expected);
  });
});

describe("a recipe's files", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "recipe-"));
    for (const name of ["models/vit", "models/smollm2", "photos", "data"])
      mkdirSync(join(folder, name), { recursive: true });
    for (const name of ["captions.json", "instruct.json"]) writeFileSync(join(folder, "data", name), "[]");
    writeFileSync(join(folder, "r.yaml"), text.replaceAll(/(models|data|photos)(?=[/,\n])/g, `${folder}/$1`));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("are there", async () => {
    await checkRecipePaths(await readRecipe(join(folder, "r.yaml")));
  });

  it.each([
    ["models/vit", "model.vision.path", "a folder with a vision encoder"],
    ["models/smollm2", "model.language.path", "a file or folder with a language model"],
    ["data/instruct.json", "stages.instruct.data.0.path", "a file with samples"],
    ["photos", "stages.align.data.0.images", "a folder with pictures"],
  ])("are missed: %s", async (name, key, expected) => {
    rmSync(join(folder, name), { recursive: true });
    await expect(checkRecipePaths(await readRecipe(join(folder, "r.yaml")))).rejects.toMatchObject({
      code: "RECIPE_PATH",
      details: { where: key, expected, got: `nothing at ${join(folder, name)}` },
    });
  });

  it("suggests the neighbour that was meant", async () => {
    const recipe = await readRecipe(join(folder, "r.yaml"), [`model.vision.path=${folder}/models/vitt`]);
    await expect(checkRecipePaths(recipe)).rejects.toThrow(/did you mean "vit"/);
  });

  it("refuses a file where a folder belongs", async () => {
    const recipe = await readRecipe(join(folder, "r.yaml"), [`model.vision.path=${folder}/r.yaml`]);
    await expect(checkRecipePaths(recipe)).rejects.toThrow(/a folder with a vision encoder, got a file/);
  });

  it("names a recipe that is not there, too large, or a folder", async () => {
    await expect(readRecipe(join(folder, "no.yaml"))).rejects.toMatchObject({ code: "RECIPE_FILE" });
    await expect(readRecipe(folder)).rejects.toMatchObject({ code: "RECIPE_FILE" });
    writeFileSync(join(folder, "big.yaml"), "#".repeat(1 << 21));
    await expect(readRecipe(join(folder, "big.yaml"))).rejects.toThrow(/2097152 bytes/);
  });
});

it("nearest finds typing mistakes and no more", () => {
  expect(nearest("epoch", ["epochs", "steps"])).toBe("epochs");
  expect(nearest("LEARNING_RAET", ["learning_rate"])).toBe("learning_rate");
  expect(nearest("banana", ["epochs", "steps"])).toBeUndefined();
  fc.assert(
    fc.property(fc.string(), fc.array(fc.string()), (name, others) => nearest(name, [...others, name]) !== undefined),
  );
});
