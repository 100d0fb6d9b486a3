// Every task by its name: a new one is a file in tasks/ and a name here.
import { pope } from "./tasks/pope.ts";
import { vqa } from "./tasks/vqa.ts";

export const tasks = { pope, vqa } as const;
