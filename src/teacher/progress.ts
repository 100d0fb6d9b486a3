// How far a teacher has come: what was accepted, dropped and failed, how fast, and how long it will take.

/** A snapshot; counts are of this run, except `resumed`. */
export interface TeacherProgress {
  /** answers that earlier runs had already kept */
  readonly resumed: number;
  readonly accepted: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly failed: Readonly<Record<string, number>>;
  /** attempts that were repeated */
  readonly retries: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** nanodollars over all runs: charged, or perhaps charged */
  readonly spent: number;
  /** requests in doubt, which are left alone */
  readonly inDoubt: number;
  /** answers that came with a batch; they are judged when the samples are written */
  readonly answered: number;
  /** requests whose outcome other workers got */
  readonly elsewhere: number;
  /** requests in all; undefined when the source does not tell its length */
  readonly total?: number;
  readonly rowsPerSecond: number;
  readonly secondsLeft?: number;
}

export interface Progress {
  state(): TeacherProgress;
  resumed(): void;
  accepted(): void;
  dropped(reason: string): void;
  failed(code: string): void;
  retried(): void;
  leftInDoubt(): void;
  answered(): void;
  /** sets how many requests other workers are done with */
  elsewhere(count: number): void;
  used(promptTokens: number, completionTokens: number): void;
}

export function openProgress(
  total: number | undefined,
  tell: ((state: TeacherProgress) => void) | undefined,
  books: { readonly spent: number; readonly doubt: number },
): Progress {
  const dropped: Record<string, number> = {};
  const failed: Record<string, number> = {};
  const counts = { resumed: 0, accepted: 0, answered: 0, elsewhere: 0, retries: 0, inDoubt: 0 };
  const tokens = { promptTokens: 0, completionTokens: 0 };
  let done = 0;
  const started = performance.now();
  const state = (): TeacherProgress => {
    const seconds = (performance.now() - started) / 1000;
    const here = done + counts.elsewhere;
    const rowsPerSecond = seconds > 0 ? here / seconds : 0;
    const left = total === undefined ? undefined : Math.max(0, total - counts.resumed - counts.inDoubt - here);
    const spent = books.spent + books.doubt;
    const known = left === undefined || total === undefined ? {} : { total };
    const ahead = left === undefined || rowsPerSecond === 0 ? {} : { secondsLeft: left / rowsPerSecond };
    const sums = { ...counts, ...tokens, spent, dropped: { ...dropped }, failed: { ...failed } };
    return { ...sums, rowsPerSecond, ...known, ...ahead };
  };
  const row = (sums: Record<string, number>, name: string): void => {
    sums[name] = (sums[name] ?? 0) + 1;
    done++;
    tell?.(state());
  };
  return {
    state,
    resumed: () => void counts.resumed++,
    leftInDoubt: () => void counts.inDoubt++,
    answered: () => row(counts, "answered"),
    elsewhere(count) {
      if (count === counts.elsewhere) return;
      counts.elsewhere = count;
      tell?.(state());
    },
    accepted: () => row(counts, "accepted"),
    dropped: (reason) => row(dropped, reason),
    failed: (code) => row(failed, code),
    retried() {
      counts.retries++;
      tell?.(state());
    },
    used(promptTokens, completionTokens) {
      tokens.promptTokens += promptTokens;
      tokens.completionTokens += completionTokens;
    },
  };
}
