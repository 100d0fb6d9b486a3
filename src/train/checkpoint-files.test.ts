// Checkpoints under every failure of the disk: the newest whole one loads, whatever call was the last.
import { writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { afterPowerCut, cutAt, disk, failAt, fullFrom, type Loss, resetDisk } from "../../test/faulty-disk.ts";
import { RunError } from "../errors.ts";
import { openFile } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { encodeSafetensors } from "../formats/safetensors-write.ts";
import { removeOlder, type StoredCheckpoint, weightsPath, writeCheckpoint } from "./checkpoint-files.ts";
import type { TrainEvent } from "./events.ts";
import type { StageRecipe } from "./recipe.ts";
import { resumePoint } from "./resume.ts";

vi.mock("node:fs/promises", async (original) => {
  const { faultyDisk } = await import("../../test/faulty-disk.ts");
  return faultyDisk(await original());
});

const stages = [
  { name: "a", train: ["projector"] },
  { name: "b", train: ["language"] },
  { name: "c", train: ["projector", "language"] },
] as unknown as StageRecipe[];
const names = stages.map(({ name }) => name);

let root: string;
let folder: string;
let folders = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "llava-checkpoints-"));
});
afterAll(async () => {
  resetDisk();
  await rm(root, { recursive: true });
});
const fresh = async (): Promise<string> => {
  const path = join(root, String(folders++));
  await mkdir(path, { recursive: true });
  return path;
};
beforeEach(async () => {
  resetDisk();
  folder = await fresh();
});

const stream = (value: number) =>
  encodeSafetensors([{ name: "w", dtype: "F32", shape: [64], data: new Float32Array(64).fill(value) }]);

async function write(stage: string, step: number | "finished", value = Number(step)): Promise<StoredCheckpoint> {
  const finished = step === "finished";
  const state = { stage, step: finished ? 8 : step, finished, inputs: { seed: 1 }, machine: {} };
  return writeCheckpoint(folder, state, stream(value));
}

async function save(stage: string, step: number | "finished", keep = 2): Promise<void> {
  await removeOlder(folder, names, await write(stage, step), keep);
}

interface Found {
  /** "a-000004", and the value that its weights hold */
  readonly newest: string | undefined;
  readonly value: number | undefined;
  readonly bases: readonly string[];
  readonly damaged: readonly string[];
}

const baseName = (path: string): string => path.slice(dirname(path).length + 1);

async function find(where = folder): Promise<Found> {
  const events: TrainEvent[] = [];
  const point = await resumePoint({ folder: where, logs: [], stages, emit: (event) => void events.push(event) });
  const newest = point.from ?? point.bases.at(-1);
  return {
    newest: newest && baseName(newest.path),
    value: newest && (await valueOf(newest)),
    bases: point.bases.map(({ path }) => baseName(path)),
    damaged: events.flatMap((event) => (event.type === "fallback" ? [baseName(event.checkpoint)] : [])),
  };
}

async function valueOf(checkpoint: StoredCheckpoint): Promise<number> {
  const file = await openFile(weightsPath(checkpoint));
  try {
    const values = await (await readSafetensors(file)).loadFloat32("w");
    expect(new Set(values).size).toBe(1);
    return values[0]!;
  } finally {
    await file.close();
  }
}

describe("which checkpoints stay", () => {
  it("keeps the newest few, and finished stages for good", async () => {
    for (const step of [2, 4, 6]) await save("a", step);
    expect(await readdir(folder)).toEqual(["a-000004", "a-000006"]);
    await save("a", "finished");
    expect(await readdir(folder)).toEqual(["a-000006", "a-finished"]);
    await save("b", 2);
    await save("b", 4);
    expect(await readdir(folder)).toEqual(["a-finished", "b-000002", "b-000004"]);
    await save("b", 6, 1);
    expect(await readdir(folder)).toEqual(["a-finished", "b-000006"]);
  });

  it("leaves alone what is no checkpoint of the run, and clears what was cut off", async () => {
    for (const name of ["best", "other-000002", "a-000001"]) await mkdir(join(folder, name));
    await save("a", 2);
    expect(await readdir(folder)).toEqual(["a-000002", "best", "other-000002"]);
  });

  it("reads a new one back before an older one goes", async () => {
    await save("a", 2, 1);
    resetDisk((call) => {
      // the state file follows the weights: by now they lie on disk
      if (call.op === "create" && call.path.includes("state.json"))
        writeFileSync(join(folder, "a-000004", "state.safetensors"), "other bytes");
      return "pass";
    });
    await expect(save("a", 4, 1)).rejects.toMatchObject({ code: "CHECKPOINT_UNREADABLE", exitCode: 1 });
    resetDisk();
    expect(await find()).toMatchObject({ newest: "a-000002", damaged: ["a-000004"] });
  });
});

describe("which checkpoint is gone on from", () => {
  const spoil = async (name: string, file = "state.safetensors"): Promise<void> => {
    const path = join(folder, name, file);
    const bytes = await readFile(path);
    bytes[bytes.length >> 1]! ^= 4;
    await writeFile(path, bytes);
  };

  it("the furthest", async () => {
    await write("a", "finished", 9);
    await write("b", 2);
    await write("b", 4);
    expect(await find()).toEqual({ newest: "b-000004", value: 4, bases: ["a-finished"], damaged: [] });
  });

  it.each(["state.safetensors", "state.json"])("passes over one whose %s has another bit, loudly", async (file) => {
    await write("a", 2);
    await write("a", 4);
    await spoil("a-000004", file);
    expect(await find()).toEqual({ newest: "a-000002", value: 2, bases: [], damaged: ["a-000004"] });
    // out of the way, and not destroyed
    expect(await readdir(folder)).toEqual(["a-000002", "a-000004.aside"]);
    expect(await find()).toMatchObject({ newest: "a-000002", damaged: [] });
  });

  it("passes over one whose base is damaged, and what lies beyond the base's stage", async () => {
    await write("a", 6);
    await write("a", "finished", 9);
    await write("b", 2);
    await spoil("a-finished");
    expect(await find()).toMatchObject({ newest: "a-000006", damaged: ["a-finished"] });
    expect(await readdir(folder)).toEqual(["a-000006", "a-finished.aside", "b-000002.aside"]);
  });

  it("needs no base whose parts were all trained again", async () => {
    await write("a", "finished", 9);
    await write("b", "finished", 9);
    await write("c", 2);
    await spoil("a-finished");
    await spoil("b-finished");
    expect(await find()).toEqual({ newest: "c-000002", value: 2, bases: [], damaged: [] });
  });

  it("refuses to begin again in silence when all are damaged", async () => {
    await write("a", 2);
    await spoil("a-000002");
    await expect(find()).rejects.toMatchObject({ code: "RESUME_DAMAGED", exitCode: 2 });
    expect(await readdir(folder)).toEqual(["a-000002"]);
  });

  it("believes no name", async () => {
    await write("a", 2);
    await write("a", 4);
    await rm(join(folder, "a-000004", "state.json"));
    const moved = await readFile(join(folder, "a-000002", "state.json"));
    await writeFile(join(folder, "a-000004", "state.json"), moved);
    expect(await find()).toMatchObject({ newest: "a-000002", damaged: ["a-000004"] });
  });
});

/** Two checkpoints, and a third that is about to be saved. */
async function two(): Promise<void> {
  resetDisk();
  folder = await fresh();
  await save("a", 2);
  await save("a", 4);
}

/** How many calls that change the disk a save makes. */
async function callsOfSave(): Promise<number> {
  await two();
  resetDisk();
  await save("a", 6);
  return disk.calls.length;
}

describe("a save that is cut off", () => {
  it.each([false, true])("loses nothing, behind whichever call (half written: %s)", async (torn) => {
    const count = await callsOfSave();
    expect(count).toBeGreaterThan(12);
    const seen: string[] = [];
    for (let n = 0; n < count; n++) {
      await two();
      resetDisk(cutAt(n, torn));
      await expect(save("a", 6)).rejects.toThrow();
      resetDisk();
      const found = await find();
      expect(found).toMatchObject({ damaged: [], value: Number(found.newest!.slice(-1)) });
      seen.push(found.newest!);
      // and the run goes on
      await save("a", 6);
      expect(await readdir(folder)).toEqual(["a-000004", "a-000006"]);
    }
    expect(new Set(seen)).toEqual(new Set(["a-000004", "a-000006"]));
    expect(seen).toEqual(seen.toSorted());
  });

  it("loses nothing in a power cut, whatever of the unflushed is left", async () => {
    await two();
    const before = new Map<string, Uint8Array>();
    for (const name of await readdir(folder, { recursive: true })) {
      const path = join(folder, name);
      if (/state/.test(name)) before.set(path, await readFile(path));
    }
    resetDisk();
    await save("a", 6);
    const calls = disk.calls;
    resetDisk();
    let states = 0;
    for (let n = 0; n <= calls.length; n++) {
      for (const loss of losses) {
        const there = await fresh();
        for (const [path, bytes] of afterPowerCut(folder, before, calls.slice(0, n), loss)) {
          const copy = join(there, path.slice(folder.length));
          await mkdir(dirname(copy), { recursive: true });
          await writeFile(copy, bytes);
        }
        const found = await find(there);
        expect(found, `${n} ${JSON.stringify(loss)}`).toMatchObject({
          damaged: [],
          value: Number(found.newest!.slice(-1)),
        });
        if (n === calls.length) expect(found.newest).toBe("a-000006");
        states++;
      }
    }
    expect(states).toBeGreaterThan(80);
  });
});

const losses = (["kept", "lost"] as const).flatMap((names) =>
  (["kept", "lost", "torn"] as const).map((bytes): Loss => ({ names, bytes })),
);

describe("a save on a failing disk", () => {
  it("ends with one error, once or for ever full, and loses nothing", async () => {
    const count = await callsOfSave();
    for (let n = 0; n < count; n++) {
      for (const judge of [failAt(n, "ENOSPC"), fullFrom(n), failAt(n, "EIO")]) {
        await two();
        resetDisk(judge);
        const error: unknown = await save("a", 6).catch((thrown: unknown) => thrown);
        resetDisk();
        if (error !== undefined) {
          expect(error).toBeInstanceOf(RunError);
          expect((error as RunError).code).toMatch(/^(DISK_FULL|FILE_WRITE_FAILED)$/);
        }
        const found = await find();
        expect(found).toMatchObject({ damaged: [], value: Number(found.newest!.slice(-1)) });
        await save("a", 6);
        expect(await readdir(folder)).toEqual(["a-000004", "a-000006"]);
      }
    }
  });
});
