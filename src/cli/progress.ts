// Progress on stderr: one line redrawn on a terminal, a plain line every few seconds elsewhere; with rate and time left.
import { grouped, showSeconds } from "./output.ts";

const REDRAW_MS = 100;
const PLAIN_MS = 5_000;
// the rate is that of the last seconds: the first step compiles, and machines slow down
const WINDOW_MS = 15_000;

/** Where progress goes; stderr but in tests. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressOptions {
  readonly label: string;
  /** what is counted, e.g. "pictures" */
  readonly unit: string;
  readonly total?: number;
  /** how much was done before; 0 unless told */
  readonly from?: number;
  readonly stream?: ProgressStream;
  readonly now?: () => number;
}

export interface Progress {
  /** `note` is shown at the end of the line, e.g. "loss 2.31" */
  update(done: number, note?: string): void;
  /** ends the line, saying how long it took; nothing when it took under two seconds on no terminal */
  finish(note?: string): void;
}

/** What is drawn at the bottom of stderr's terminal, and makes room for lines. */
export interface Pinned {
  erase(): void;
  redraw(): void;
}

let pinned: Pinned | undefined;

/** From now on lines go above this; undefined when nothing is drawn any more. */
export function pin(block: Pinned | undefined): void {
  pinned = block;
}

/** Writes a line to stderr, above what is drawn there. */
export function log(text: string): void {
  pinned?.erase();
  process.stderr.write(`${text}\n`);
  pinned?.redraw();
}

/** Starts counting; nothing is written before the first redraw is due. */
export function startProgress(options: ProgressOptions): Progress {
  const { label, unit, total, from = 0, stream = process.stderr, now = () => performance.now() } = options;
  const started = now();
  const every = stream.isTTY ? REDRAW_MS : PLAIN_MS;
  const marks: { at: number; done: number }[] = [{ at: started, done: from }];
  let [lastDrawn, shown, latest] = [started, false, from];

  const draw = (text: string): void => {
    if (stream.isTTY) stream.write(`\r\u001B[2K${text.slice(0, (stream.columns ?? 80) - 1)}`);
    else stream.write(`${text}\n`);
    if (stream === process.stderr && stream.isTTY) pin({ erase: () => stream.write("\r\u001B[2K"), redraw: () => {} });
    shown = true;
  };
  return {
    update(done, note) {
      const at = now();
      latest = done;
      if (at - lastDrawn < every) return;
      lastDrawn = at;
      marks.push({ at, done });
      while (marks.length > 2 && at - (marks[1]?.at ?? at) > WINDOW_MS) marks.shift();
      draw([`${label}  ${count(done, total)} ${unit}`, pace(marks, unit, total), note].filter(Boolean).join("  "));
    },
    finish(note) {
      const took = now() - started;
      if (shown || took > 2_000) {
        draw(
          [`${label}  ${grouped(latest - from)} ${unit} in ${showSeconds(took / 1000)}`, note]
            .filter(Boolean)
            .join("  "),
        );
        if (stream.isTTY) stream.write("\n");
      }
      if (stream === process.stderr) pin(undefined);
    },
  };
}

function count(done: number, total: number | undefined): string {
  if (total === undefined) return grouped(done);
  const percent = total === 0 ? 100 : Math.floor((done / total) * 100);
  return `${grouped(done)}/${grouped(total)} (${percent} %)`;
}

function pace(marks: readonly { at: number; done: number }[], unit: string, total: number | undefined): string {
  const [first, last] = [marks[0], marks.at(-1)];
  if (first === undefined || last === undefined || last.at <= first.at || last.done <= first.done) return "";
  const perSecond = ((last.done - first.done) / (last.at - first.at)) * 1000;
  const rate = perSecond >= 1 ? `${show(perSecond)} ${unit}/s` : `${show(1 / perSecond)} s each`;
  return total === undefined ? rate : `${rate}  ${showSeconds((total - last.done) / perSecond)} left`;
}

function show(n: number): string {
  return n >= 100 ? grouped(Math.round(n)) : n.toPrecision(2);
}
