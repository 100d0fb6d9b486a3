// Every task by its name: a new one is a file in tasks/, a row here, and its name in data/task-names.ts.
import type { TaskName } from "../data/task-names.ts";
import type { Task } from "./task.ts";
import { captions } from "./tasks/captions.ts";
import { gqa } from "./tasks/gqa.ts";
import { llavabench } from "./tasks/llavabench.ts";
import { mmbench } from "./tasks/mmbench.ts";
import { mme } from "./tasks/mme.ts";
import { mmstar } from "./tasks/mmstar.ts";
import { pope } from "./tasks/pope.ts";
import { scienceqa } from "./tasks/scienceqa.ts";
import { seedbench, seedbenchRanked } from "./tasks/seedbench.ts";
import { textvqa } from "./tasks/textvqa.ts";
import { vqa } from "./tasks/vqa.ts";
import { okvqa, vqav2 } from "./tasks/vqav2.ts";

export const tasks = {
  pope,
  vqa,
  vqav2,
  okvqa,
  textvqa,
  gqa,
  scienceqa,
  mme,
  mmbench,
  seedbench,
  "seedbench-ranked": seedbenchRanked,
  mmstar,
  captions,
  llavabench,
} as const satisfies Readonly<Record<TaskName, Task>>;
