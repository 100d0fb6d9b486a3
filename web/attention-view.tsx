// What an answer looked at: every word can be pointed at or reached by keys, and lights up its place in the picture.
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { heatOf, placeOf, type Word, wordsOf } from "./attention.ts";
import type { Answer, Turn } from "./conversation.ts";
import { loadKey, type Settings } from "./settings.ts";
import { type Attention, readAttention, type ShownView } from "./wire.ts";

type Depth = "all" | "early" | "middle" | "late";

interface AttentionProps {
  readonly turn: Answer;
  /** the conversation up to it, and with it */
  readonly turns: readonly Turn[];
  readonly settings: Settings;
  readonly onClose: () => void;
}

export function AttentionView({ turn, turns, settings, onClose }: AttentionProps) {
  const [depth, setDepth] = useState<Depth>("all");
  const [head, setHead] = useState<number>();
  const [compared, setCompared] = useState(true);
  const { attention, problem } = useAttention({ turn, turns, settings, depth, head });
  if (problem !== "") {
    return (
      <>
        <p className="asked">{turn.text}</p>
        <p className="problem" role="alert">
          {problem}{" "}
          <button type="button" className="link" onClick={onClose}>
            Back to the answer
          </button>
        </p>
      </>
    );
  }
  return (
    <div className="attention">
      {attention === undefined ? (
        <p className="asked">{turn.text}</p>
      ) : (
        <Words attention={attention} compared={compared} />
      )}
      <div className="row">
        <LayerChoice depth={depth} onDepth={setDepth} />
        <HeadChoice head={head} count={attention?.model_heads ?? 0} onHead={setHead} />
        <label className="inline">
          <input type="checkbox" checked={compared} onChange={(event) => setCompared(event.target.checked)} />
          only what sets a word apart
        </label>
        <span className="quiet" role="status">
          {attention === undefined ? "Reading the answer again…" : ""}
        </span>
      </div>
    </div>
  );
}

interface LayerProps {
  readonly depth: Depth;
  readonly onDepth: (depth: Depth) => void;
}

function LayerChoice({ depth, onDepth }: LayerProps) {
  const id = useId();
  return (
    <>
      <label htmlFor={id}>Layers</label>
      <select id={id} className="low" value={depth} onChange={(event) => onDepth(event.target.value as Depth)}>
        <option value="all">all</option>
        <option value="early">first third</option>
        <option value="middle">middle third</option>
        <option value="late">last third</option>
      </select>
    </>
  );
}

interface HeadProps {
  /** undefined: all of them */
  readonly head: number | undefined;
  readonly count: number;
  readonly onHead: (head: number | undefined) => void;
}

function HeadChoice({ head, count, onHead }: HeadProps) {
  const id = useId();
  return (
    <>
      <label htmlFor={id}>Heads</label>
      <select
        id={id}
        className="low"
        value={head ?? "all"}
        onChange={({ target }) => onHead(target.value === "all" ? undefined : Number(target.value))}
      >
        <option value="all">all</option>
        {Array.from({ length: count }, (_, each) => (
          <option key={each} value={each}>
            {each + 1}
          </option>
        ))}
      </select>
    </>
  );
}

interface Reading extends Omit<AttentionProps, "onClose"> {
  readonly depth: Depth;
  readonly head: number | undefined;
}

/** Asks the server, again for other layers and heads. */
function useAttention({ turn, turns, settings, depth, head }: Reading) {
  const [attention, setAttention] = useState<Attention>();
  const [problem, setProblem] = useState("");
  const layers = useRef(0);
  useEffect(() => {
    const controller = new AbortController();
    const ask = { key: loadKey(), signal: controller.signal };
    const chosen = { layers: thirdOf(depth, layers.current), heads: head === undefined ? undefined : [head] };
    readAttention(turns, { model: turn.model, settings }, chosen, ask).then(
      (read) => {
        layers.current = read.model_layers;
        setAttention(read);
      },
      (error: unknown) => {
        if (!controller.signal.aborted) setProblem((error as Error).message);
      },
    );
    return () => controller.abort();
    // other settings do not change what was looked at, except the system prompt
  }, [turn.id, turn.model, depth, head, settings.system]);
  return { attention, problem };
}

/** The layers of a third; how many there are is known from the first answer on, which is about all of them. */
function thirdOf(depth: Depth, count: number): number[] | undefined {
  if (depth === "all" || count < 3) return undefined;
  const third = { early: 0, middle: 1, late: 2 }[depth];
  const [from, to] = [Math.floor((third * count) / 3), Math.floor(((third + 1) * count) / 3)];
  return Array.from({ length: to - from }, (_, i) => from + i);
}

function Words({ attention, compared }: { readonly attention: Attention; readonly compared: boolean }) {
  const words = useMemo(() => wordsOf(attention.tokens), [attention]);
  const [at, setAt] = useState(0);
  const word = words[Math.min(at, words.length - 1)]!;
  const heat = useMemo(() => heatOf(word, words, compared), [word, words, compared]);
  const row = useRef<HTMLParagraphElement>(null);
  const top = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // newer browsers return a promise, which is no cleanup
    top.current!.closest("article")!.scrollIntoView({ block: "nearest" });
  }, []);
  const onKey = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const next = Math.min(words.length - 1, Math.max(0, at + by));
    setAt(next);
    row.current!.querySelectorAll<HTMLElement>("button")[next]!.focus();
  };
  return (
    <>
      <div className="views" ref={top}>
        {attention.pictures.map(({ views }, picture) =>
          views.map((view, i) => <Heat key={`${picture}.${i}`} view={view} patches={heat[picture]![i]!} />),
        )}
      </div>
      <p className="quiet" aria-live="polite">
        {describe(word, attention)}
      </p>
      <p className="words" ref={row} role="group" aria-label="Words of the answer; arrow keys move" onKeyDown={onKey}>
        {words.map(({ text }, i) => (
          <WordButton key={`${i} ${text}`} text={text} on={i === at} onPoint={() => setAt(i)} />
        ))}
      </p>
    </>
  );
}

interface WordProps {
  readonly text: string;
  readonly on: boolean;
  readonly onPoint: () => void;
}

/** A word that can be pointed at, between the spaces that belong to it. */
function WordButton({ text, on, onPoint }: WordProps) {
  const word = text.trim();
  const [before, after] = text.split(word === "" ? text : word) as [string, string];
  return (
    <>
      {before}
      <button
        type="button"
        tabIndex={on ? 0 : -1}
        aria-pressed={on}
        onPointerEnter={onPoint}
        onFocus={onPoint}
        onClick={onPoint}
      >
        {word || "·"}
      </button>
      {after}
    </>
  );
}

/** In words what the pictures show: how much, and where most of it. */
function describe({ text, weights, seen }: Word, { pictures }: Attention): string {
  const sums = weights.map((views) => views.flat().reduce((a, b) => a + b, 0));
  const most = sums.indexOf(Math.max(...sums));
  const where = placeOf(weights[most]![0]!, pictures[most]!.views[0]!);
  const percent = (seen * 100).toFixed(seen < 0.1 ? 1 : 0);
  const which = pictures.length > 1 ? `, most of it on picture ${most + 1}, ${where}` : `, most of it ${where}`;
  return `“${text.trim()}”: ${percent} % of its attention on ${pictures.length > 1 ? "the pictures" : "the picture"}${which}.`;
}

/** The picture as the tower got it, dark where a word did not look. */
function Heat({ view, patches }: { readonly view: ShownView; readonly patches: readonly number[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { rows, columns, image, width, height } = view;
  useEffect(() => {
    const small = document.createElement("canvas");
    small.width = columns;
    small.height = rows;
    const pixels = new ImageData(columns, rows);
    for (const [i, heat] of patches.entries()) pixels.data.set([8, 10, 20, Math.round(205 * (1 - heat ** 0.7))], i * 4);
    small.getContext("2d")!.putImageData(pixels, 0, 0);
    const context = canvas.current!.getContext("2d")!;
    context.clearRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, width, height);
  }, [patches, rows, columns, width, height]);
  return (
    <figure className="view">
      <img src={image} width={width} height={height} alt="The picture as the model saw it" />
      <canvas ref={canvas} width={width} height={height} aria-hidden="true" />
    </figure>
  );
}
