// Scenes: deterministic, inside the picture, apart from each other, and captions that tell the truth.
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { captionsOf, groupsOf, phrase } from "./captions.ts";
import { sceneRgb } from "./draw.ts";
import { writeSceneFolder } from "./folder.ts";
import { boxOf, colours, makeScene, nouns } from "./scenes.ts";

const anyScene = fc
  .record({ seed: fc.nat(), index: fc.nat(5000) })
  .map(({ seed, index }) => makeScene(seed, "train", index));

describe("scenes", () => {
  test("hold two to five things of at least two kinds, inside the picture and apart", () => {
    fc.assert(
      fc.property(anyScene, (scene) => {
        const boxes = scene.things.map(boxOf);
        expect(scene.things.length).toBeGreaterThanOrEqual(2);
        expect(scene.things.length).toBeLessThanOrEqual(5);
        expect(new Set(scene.things.map((thing) => thing.noun)).size).toBeGreaterThanOrEqual(2);
        for (const box of boxes) expect(box.every((edge) => edge > 0 && edge < 1)).toBe(true);
        for (const [i, a] of boxes.entries())
          for (const b of boxes.slice(i + 1)) {
            expect(a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1]).toBe(true);
          }
      }),
    );
  });

  test("are the same for the same seed, and other splits hold other scenes", () => {
    expect(makeScene(3, "train", 8)).toEqual(makeScene(3, "train", 8));
    const placed = (split: string): string[] =>
      Array.from({ length: 100 }, (_, i) => JSON.stringify(makeScene(3, split, i).things));
    const train = new Set(placed("train"));
    expect(placed("held-out").filter((things) => train.has(things))).toEqual([]);
  });

  test("captions name every group as it is and nothing else", () => {
    fc.assert(
      fc.property(anyScene, (scene) => {
        const present = groupsOf(scene);
        const captions = captionsOf(scene);
        expect(captions).toHaveLength(3);
        for (const group of present) expect(captions[0]?.toLowerCase()).toContain(phrase(group));
        const absent = nouns.filter((noun) => present.every((group) => group.noun !== noun));
        for (const caption of captions) {
          for (const noun of absent) expect(caption).not.toMatch(new RegExp(`\\b${noun}`));
          const named = colours.filter((colour) => caption.toLowerCase().includes(` ${colour} `));
          for (const colour of named) expect(present.some((group) => group.colour === colour)).toBe(true);
        }
      }),
    );
  });
});

test("drawing is deterministic and shows the things in their colours", async () => {
  const scene = {
    ...makeScene(1, "train", 0),
    things: [{ noun: "star", colour: "red", x: 0.5, y: 0.5, size: 0.3, tilt: 0 }],
  } as const;
  const [once, twice] = await Promise.all([sceneRgb(scene, 64), sceneRgb(scene, 64)]);
  expect(once).toEqual(twice);
  const [r, g, b] = once.subarray(3 * (32 * 64 + 32));
  expect(r).toBeGreaterThan(200);
  expect(Math.max(g ?? 255, b ?? 255)).toBeLessThan(60);
});

test("a scene folder holds photos and both COCO files, which agree", async () => {
  const folder = await mkdtemp(join(tmpdir(), "scenes-"));
  try {
    const scenes = await writeSceneFolder({ folder, split: "train", count: 3, seed: 5 });
    expect((await readdir(join(folder, "photos"))).sort()).toEqual(scenes.map((scene) => `${scene.id}.jpg`));
    const instances = JSON.parse(await readFile(join(folder, "instances.json"), "utf8"));
    const captions = JSON.parse(await readFile(join(folder, "captions.json"), "utf8"));
    expect(captions.images).toEqual(instances.images);
    expect(captions.annotations).toHaveLength(9);
    expect(instances.annotations).toHaveLength(scenes.reduce((sum, scene) => sum + scene.things.length, 0));
    const [x, y, width, height] = instances.annotations[0].bbox;
    expect(Math.min(x, y)).toBeGreaterThan(0);
    expect(Math.max(x + width, y + height)).toBeLessThan(192);
  } finally {
    await rm(folder, { recursive: true });
  }
});
