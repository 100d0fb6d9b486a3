// The books that a ledger's rows add up to: what became of each request, what was spent, and what is in doubt.
import { KeyTable, type KeyState, type Place } from "./key-table.ts";
import type { BatchRow, Head, LedgerRow } from "./ledger-rows.ts";
import type { Found } from "./ledger-scan.ts";

/** Sums over all rows; money in nanodollars. */
export interface Totals {
  readonly answers: number;
  readonly failed: number;
  /** charged for answers */
  readonly spent: number;
  /** the most that attempts without an answer may have been charged on top */
  readonly doubt: number;
  /** the most that requests in batches under way may cost */
  readonly queued: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** A request that was sent and whose outcome is not known. */
export interface Doubt {
  readonly key: string;
  readonly id: string;
  /** the most that its attempts in doubt may have cost together */
  readonly cost: number;
  /** what its last attempt was sent under */
  readonly nonce: string;
}

/** A request that went with a batch and has no outcome yet. */
export interface Queue {
  readonly key: string;
  readonly id: string;
  /** the most that it can cost */
  readonly cost: number;
}

/** Keeps count while rows are read and written. `read` gives a row that was noted or added before. */
export class Books {
  readonly #table = new KeyTable();
  readonly #totals = { answers: 0, failed: 0, spent: 0, doubt: 0, queued: 0, promptTokens: 0, completionTokens: 0 };
  readonly #doubts = new Map<string, Doubt>();
  readonly #batches = new Map<string, BatchRow>();
  /** sent, without an outcome yet */
  readonly #open = new Map<string, Place>();
  /** requests in batches, by batch, and the batch of each */
  readonly #queues = new Map<string, Map<string, Queue>>();
  readonly #batchOf = new Map<string, string>();
  readonly #read: (place: Place) => LedgerRow;

  constructor(read: (place: Place) => LedgerRow) {
    this.#read = read;
  }

  get totals(): Totals {
    return this.#totals;
  }

  /** batches that have not ended */
  get batches(): ReadonlyMap<string, BatchRow> {
    return this.#batches;
  }

  /** a row found in the file */
  note(found: Found): void {
    const { head } = found;
    this.#book(head, found, () => found.row());
    // what failed in an earlier run may be asked again in this one
    if (head.t === "failed" && !head.doubt) this.#table.set(head.key, "again");
  }

  /** a row just written */
  add(row: LedgerRow, place: Place): void {
    const doubt = row.t === "failed" && row.doubt === true;
    const [settles, counts] = row.t === "answer" ? [row.settles === true, row] : [false, { in: 0, out: 0 }];
    const head = { t: row.t, key: row.key, cost: row.cost, doubt, settles, in: counts.in, out: counts.out };
    this.#book(head, place, () => row);
  }

  /** after the last row of the file: what was sent without an outcome is in doubt */
  closeOpen(): void {
    for (const place of this.#open.values()) this.#doubtSent(this.#read(place));
    this.#open.clear();
  }

  state(key: string): KeyState {
    return this.#table.state(key);
  }

  place(key: string): Place | undefined {
    return this.#table.place(key);
  }

  doubt(key: string): Doubt | undefined {
    return this.#doubts.get(key);
  }

  queue(batch: string): readonly Queue[] {
    return [...(this.#queues.get(batch)?.values() ?? [])];
  }

  doubts(): readonly Doubt[] {
    return [...this.#doubts.values()].filter(({ key }) => this.#table.state(key) === "doubt");
  }

  #book(head: Head, place: Place, row: () => LedgerRow): void {
    const { t, key } = head;
    if (t === "sent") this.#send(key, place);
    else if (t === "queued") this.#enqueue(row());
    else if (t === "answer") this.#answer(head, place);
    else if (t === "failed") this.#fail(head, row);
    else if (t === "again") this.#table.set(key, "again");
    else if (t === "batch") this.#batch(row());
  }

  #enqueue(row: LedgerRow): void {
    if (row.t !== "queued") return;
    const { key, id, cost, batch } = row;
    const queue = this.#queues.get(batch) ?? new Map<string, Queue>();
    this.#queues.set(batch, queue.set(key, { key, id, cost }));
    this.#batchOf.set(key, batch);
    this.#totals.queued += cost;
    this.#table.set(key, "queued");
  }

  #dequeue(key: string): void {
    const batch = this.#batchOf.get(key);
    if (batch === undefined) return;
    this.#totals.queued -= this.#queues.get(batch)?.get(key)?.cost ?? 0;
    this.#queues.get(batch)?.delete(key);
    this.#batchOf.delete(key);
  }

  #send(key: string, place: Place): void {
    const before = this.#open.get(key);
    // a crash came between: what was sent before has no outcome and never will
    if (before !== undefined) this.#doubtSent(this.#read(before));
    this.#open.set(key, place);
    this.#table.set(key, "open");
  }

  #answer({ key, cost, settles, in: promptTokens, out: completionTokens }: Head, place: Place): void {
    this.#open.delete(key);
    this.#dequeue(key);
    this.#totals.answers++;
    this.#totals.spent += cost;
    this.#totals.promptTokens += promptTokens;
    this.#totals.completionTokens += completionTokens;
    if (settles) this.#totals.doubt -= this.#doubts.get(key)?.cost ?? 0;
    this.#doubts.delete(key);
    this.#table.set(key, "answered", place);
  }

  #fail({ key, doubt }: Head, row: () => LedgerRow): void {
    this.#open.delete(key);
    this.#dequeue(key);
    this.#totals.failed++;
    if (!doubt) return this.#table.set(key, "failed");
    const whole = row();
    if (whole.t === "failed") this.#addDoubt(key, whole.id, whole.cost, whole.nonce);
  }

  #batch(row: LedgerRow): void {
    if (row.t !== "batch") return;
    if (row.state === "ended") {
      this.#batches.delete(row.key);
      this.#queues.delete(row.key);
    } else this.#batches.set(row.key, row);
  }

  #doubtSent(row: LedgerRow): void {
    if (row.t === "sent") this.#addDoubt(row.key, row.id, row.cost, row.nonce);
  }

  #addDoubt(key: string, id: string, cost: number, nonce: string): void {
    this.#totals.doubt += cost;
    this.#doubts.set(key, { key, id, cost: (this.#doubts.get(key)?.cost ?? 0) + cost, nonce });
    this.#table.set(key, "doubt");
  }
}
