// What a report of taught samples shows: counts over all of them, and the few that deserve a look most.
import { stat } from "node:fs/promises";
import { jsonItems } from "../../data/json-items.ts";
import type { Sample, Turn } from "../../data/sample.ts";
import { streamSamples } from "../../data/samples.ts";
import { answerKind, type AnswerKind } from "../../data/summary.ts";
import { isRecord } from "../../data/untrusted.ts";
import { openLedger } from "../../endpoint/ledger.ts";
import { dropsPath } from "../drops.ts";
import { statusOf, type LedgerStatus } from "../ledger-report.ts";
import { ledgerPath } from "../run.ts";

/** A sample, or a dropped answer, to be shown. */
export interface Card {
  readonly id: string;
  readonly image: string | undefined;
  readonly kind: string;
  /** why it was dropped; undefined for a sample */
  readonly reason?: string;
  readonly turns: readonly Turn[];
  /** higher is more doubtful */
  readonly doubt: number;
}

export interface Taught {
  readonly name: string;
  readonly samples: number;
  readonly pictures: number;
  readonly dropped: number;
  readonly kinds: ReadonlyMap<string, number>;
  readonly reasons: ReadonlyMap<string, number>;
  readonly answers: ReadonlyMap<AnswerKind, number>;
  /** words of answers: how many have so many, doubling */
  readonly lengths: readonly number[];
  readonly cards: readonly Card[];
  readonly ledger?: LedgerStatus;
}

/** Of every reason and every kind, so many are shown. */
const perReason = 12;
const perKind = 20;

/**
 * Reads samples as `llava teach` writes them, and their drops and ledger where these lie beside.
 *
 * @throws InputError what `streamSamples`, `jsonItems` and `openLedger` throw
 */
export async function readTaught(path: string): Promise<Taught> {
  const count = openCounts();
  for await (const sample of streamSamples(path)) count.sample(sample);
  const drops = dropsPath(path);
  if (await exists(drops)) for await (const { value } of jsonItems(drops)) if (isRecord(value)) count.drop(value);
  const ledger = ledgerPath(path);
  const status = (await exists(ledger)) ? await statusAt(ledger) : undefined;
  return { name: path.replace(/^.*[/\\]/, ""), ...count.told(), ...(status === undefined ? {} : { ledger: status }) };
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}

async function statusAt(path: string): Promise<LedgerStatus> {
  const ledger = await openLedger(path, { readOnly: true });
  try {
    return await statusOf(ledger);
  } finally {
    await ledger.close();
  }
}

interface Counts {
  sample(sample: Sample): void;
  drop(drop: Readonly<Record<string, unknown>>): void;
  told(): Omit<Taught, "name" | "ledger">;
}

function openCounts(): Counts {
  const [kinds, reasons] = [new Map<string, number>(), new Map<string, number>()];
  const answers = new Map<AnswerKind, number>();
  const lengths: number[] = [];
  const pictures = new Set<string>();
  const shelves = new Map<string, Card[]>();
  let [samples, dropped] = [0, 0];
  const keep = (shelf: string, most: number, card: Card): void => {
    const cards = shelves.get(shelf) ?? [];
    shelves.set(shelf, cards);
    if (cards.length === most && card.doubt <= (cards.at(-1)?.doubt ?? 0)) return;
    cards.push(card);
    cards.sort((a, b) => b.doubt - a.doubt);
    cards.length = Math.min(cards.length, most);
  };
  return {
    sample(sample) {
      samples++;
      const kind = kindOf(sample);
      add(kinds, kind);
      for (const image of sample.images) pictures.add(image);
      for (const { from, value } of sample.conversations) {
        if (from === "human") continue;
        add(answers, answerKind(value));
        const bucket = Math.ceil(Math.log2(Math.max(1, value.trim().split(/\s+/).length)));
        lengths[bucket] = (lengths[bucket] ?? 0) + 1;
      }
      const { id, images, conversations: turns } = sample;
      keep(`kind ${kind}`, perKind, { id, image: images[0], kind, turns, doubt: doubtOf(sample) });
    },
    drop({ id, image, kind, reason, text }) {
      dropped++;
      const named = { kind: word(kind), reason: word(reason) };
      add(reasons, named.reason);
      const turns: Turn[] = typeof text === "string" ? [{ from: "gpt", value: text }] : [];
      const doubt = turns.length === 0 ? -1 : 0;
      keep(`reason ${named.reason}`, perReason, { id: word(id), image: picture(image), ...named, turns, doubt });
    },
    told() {
      const cards = [...shelves.values()].flat();
      const order = (card: Card): number => (card.reason === undefined ? card.doubt : -10 + card.doubt);
      cards.sort((a, b) => order(b) - order(a));
      const all = Array.from(lengths, (n) => n ?? 0);
      return { samples, pictures: pictures.size, dropped, kinds, reasons, answers, lengths: all, cards };
    },
  };
}

const hedges = /\b(likely|suggests?|appears?|seems?|possibly|probably|perhaps|may|might|could)\b/gi;

/** Hedged answers, and those that a model gives without the picture, are looked at first. */
function doubtOf({ conversations, extra }: Sample): number {
  const answers = conversations.filter(({ from }) => from === "gpt");
  const hedged = answers.reduce((sum, { value }) => sum + (value.match(hedges)?.length ?? 0), 0);
  const blind = extra["blind_right"];
  return hedged / answers.length + (typeof blind === "number" ? 2 * blind : 0);
}

/** The built-in teacher's samples hold several kinds. */
function kindOf({ extra }: Sample): string {
  const { kind, kinds, teacher } = extra;
  if (typeof kind === "string") return kind;
  if (Array.isArray(kinds)) return new Set(kinds).size === 1 ? word(kinds[0]) : "mixed";
  return word(teacher ?? "samples");
}

function word(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 200) : "unknown";
}

function picture(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function add<T>(counts: Map<T, number>, name: T): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
