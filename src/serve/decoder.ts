// Pictures from outside are decoded in processes of their own, each ended when it takes too long and started anew.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { InputError, RunError } from "../errors.ts";
import type { DecodeJob, DecodeReply } from "./decode-process.ts";
import type { ServeLimits } from "./limits.ts";
import type { ViewPlan } from "./views.ts";

export interface Decoder {
  /**
   * Decodes a picture and makes its views. Throws `PICTURE_…` as `decodePicture` with `where`, `PICTURE_SLOW` when its
   * process had to be ended, and the signal's reason.
   */
  views(bytes: Uint8Array, where: string, plan: ViewPlan, signal: AbortSignal): Promise<readonly Float32Array[]>;
  close(): void;
}

interface Task {
  readonly job: DecodeJob;
  readonly signal: AbortSignal;
  readonly resolve: (views: readonly Float32Array[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Decoding processes, started at once so that the first picture does not wait for them. */
export function createDecoder(limits: Pick<ServeLimits, "decoders" | "decodeMs" | "picture">): Decoder {
  const tasks: Task[] = [];
  const lanes = Array.from({ length: limits.decoders }, () => new Lane(limits.decodeMs, () => nextTask(tasks)));
  let last = 0;
  return {
    views: (bytes, where, plan, signal) =>
      new Promise((resolve, reject) => {
        const job = { id: ++last, bytes, where, limits: limits.picture, plan };
        tasks.push({ job, signal, resolve, reject });
        for (const lane of lanes) lane.wake();
      }),
    close: () => lanes.forEach((lane) => lane.close()),
  };
}

/** The next task whose client is still there. */
function nextTask(tasks: Task[]): Task | undefined {
  for (;;) {
    const task = tasks.shift();
    if (!task?.signal.aborted) return task;
    task.reject(task.signal.reason);
  }
}

/** TypeScript sources cannot run in a process of Node 20: there the built file is used (`npm run build`). */
function processFile(): string {
  const beside = new URL("./decode-process.js", import.meta.url);
  return fileURLToPath(
    import.meta.url.endsWith(".ts") ? new URL("../../dist/serve/decode-process.js", beside) : beside,
  );
}

/** One process and what it works on. */
class Lane {
  readonly #ms: number;
  readonly #next: () => Task | undefined;
  #child: ChildProcess | undefined;
  #ready = false;
  #task: Task | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(ms: number, next: () => Task | undefined) {
    this.#ms = ms;
    this.#next = next;
    this.#start();
  }

  /** Takes the next task, if it has none. */
  wake(): void {
    if (this.#task !== undefined || this.#closed) return;
    if (this.#child === undefined) this.#start();
    if (!this.#ready) return;
    const task = this.#next();
    if (task === undefined) return;
    this.#task = task;
    this.#child!.ref();
    this.#timer = setTimeout(() => this.#end(slow(task, this.#ms)), this.#ms);
    this.#child!.send(task.job);
  }

  close(): void {
    this.#closed = true;
    this.#end(new RunError("SERVE_CLOSED", { expected: "a server that runs", got: "one that was closed" }));
  }

  #start(): void {
    // no environment: keys and tokens of this process are none of its business
    const child = fork(processFile(), [], {
      serialization: "advanced",
      env: {},
      execArgv: [],
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    this.#child = child;
    this.#ready = false;
    child.on("message", (reply: DecodeReply) => this.#take(reply));
    child.on("error", () => undefined);
    child.on("exit", () => {
      if (this.#child !== child) return;
      this.#child = undefined;
      const task = this.#settle();
      task?.reject(broken(task));
      if (this.#ready) return this.wake();
      // one that cannot start would be started for ever
      for (let each = this.#next(); each; each = this.#next()) each.reject(notStarted());
    });
    child.unref();
    child.channel?.unref();
  }

  #take(reply: DecodeReply): void {
    if ("ready" in reply) this.#ready = true;
    else if (reply.id === this.#task?.job.id) {
      const task = this.#settle()!;
      if ("views" in reply) task.resolve(reply.views);
      else if ("refused" in reply) task.reject(new InputError(reply.refused.code, reply.refused.details));
      else task.reject(broken(task, reply.failed));
    }
    this.wake();
  }

  /** The task under way is over. */
  #settle(): Task | undefined {
    const task = this.#task;
    clearTimeout(this.#timer);
    this.#task = undefined;
    this.#child?.unref();
    return task;
  }

  /** Ends the process, whatever it does. */
  #end(error: unknown): void {
    const child = this.#child;
    this.#child = undefined;
    this.#settle()?.reject(error);
    child?.kill("SIGKILL");
    if (!this.#closed) this.wake();
  }
}

function notStarted(): RunError {
  const fix = "run npm run build in a checkout, npm ci when packages are missing";
  return new RunError("DECODER_START", { expected: "the process that decodes pictures", got: "none that starts", fix });
}

function slow({ job }: Task, ms: number): InputError {
  return new InputError("PICTURE_SLOW", {
    expected: `a picture that decodes within ${ms / 1000} seconds`,
    got: "one that takes longer",
    where: job.where,
    fix: "save it anew as a plain JPEG or PNG",
  });
}

/** A picture that ends the process that decodes it is at fault as far as anyone can tell. */
function broken({ job }: Task, cause?: unknown): InputError {
  return new InputError("PICTURE_CORRUPT", {
    expected: "a picture that can be decoded",
    got: "one that cannot",
    where: job.where,
    fix: "save it anew as a plain JPEG or PNG",
    cause,
  });
}
