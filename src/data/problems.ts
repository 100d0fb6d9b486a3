// Gathers what is wrong with data, so that one check tells all of it instead of the first thing only.
import { InputError } from "../errors.ts";

/** How many problems are kept in full; the others are counted. */
const KEPT = 50;

/** Problems by code, the first ones in full. */
export class Problems {
  readonly #first: InputError[] = [];
  readonly #counts = new Map<string, number>();

  /** Adds a problem that `count` samples or pictures have; rethrows what is no input error. */
  add(error: unknown, count = 1): void {
    if (!(error instanceof InputError)) throw error;
    this.#counts.set(error.code, (this.#counts.get(error.code) ?? 0) + count);
    if (this.#first.length < KEPT) this.#first.push(error);
  }

  /** Appends what another check found. */
  join(other: Problems): void {
    for (const [code, count] of other.#counts) this.#counts.set(code, (this.#counts.get(code) ?? 0) + count);
    this.#first.push(...other.#first.slice(0, KEPT - this.#first.length));
  }

  /** the first 50 */
  get first(): readonly InputError[] {
    return this.#first;
  }

  /** how many of each code, the most frequent first */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort((a, b) => b[1] - a[1]));
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, n) => sum + n, 0);
  }

  /**
   * Throws when there are problems: a single one itself; several as one error that counts them and tells the first,
   * with their common code or `DATA_PROBLEMS`.
   */
  refuse(where: string): void {
    const [first] = this.#first;
    if (first === undefined) return;
    if (this.#first.length === 1) throw first;
    const codes = Object.entries(this.counts);
    throw new InputError(codes.length === 1 ? first.code : "DATA_PROBLEMS", {
      expected: "samples and pictures without problems",
      got: `${codes.map(([code, n]) => `${n} × ${code}`).join(", ")}; the first: ${first.message}`,
      where,
      fix: "see all of them with llava data check",
      cause: first,
    });
  }
}
