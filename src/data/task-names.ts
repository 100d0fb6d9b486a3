// The names of the tasks that questions are read and scored by: recipes name them, evaluate's registry has them.

export const taskNames = [
  "pope",
  "vqa",
  "vqav2",
  "okvqa",
  "textvqa",
  "gqa",
  "scienceqa",
  "mme",
  "mmbench",
  "seedbench",
  "seedbench-ranked",
  "mmstar",
  "captions",
  "llavabench",
] as const;

export type TaskName = (typeof taskNames)[number];

/** Answers to these are scored afterwards, by a judge. */
export const judgedTasks: readonly TaskName[] = ["llavabench"];
