// The one error type that people see: a stable code, what was expected, what came, where, and what to do.

/** What an error tells its reader; every field is a plain phrase without a trailing full stop. */
export interface ErrorDetails {
  /** what would have been right, e.g. "a picture of at least 2×2 pixels" */
  readonly expected: string;
  /** what came instead, e.g. "1×1" */
  readonly got: string;
  /** file, line, field or tensor, e.g. "photos/a.jpg" or "data.json:12:4" */
  readonly where?: string;
  /** the next thing to do, as an instruction */
  readonly fix?: string;
  readonly cause?: unknown;
}

/**
 * Base of every error this project throws. `code` is stable and UPPER_SNAKE, e.g. `PICTURE_TRUNCATED`.
 * The message reads `expected …, got … (where); fix`.
 */
export abstract class LlavaError extends Error {
  /** process exit code: 2 = wrong usage or bad input, 1 = failed while running */
  abstract readonly exitCode: 1 | 2;
  readonly code: string;
  readonly details: ErrorDetails;

  constructor(code: string, details: ErrorDetails) {
    const where = details.where === undefined ? "" : ` (${details.where})`;
    const fix = details.fix === undefined ? "" : `; ${details.fix}`;
    super(`expected ${details.expected}, got ${details.got}${where}${fix}`, { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

/** The user's input, files or arguments are wrong: nothing was touched, exit code 2. */
export class InputError extends LlavaError {
  override readonly exitCode = 2;
}

/** Something failed while running (engine, disk, network), exit code 1. */
export class RunError extends LlavaError {
  override readonly exitCode = 1;
}

/** A mistake in this project's own code (an illegal graph, a broken invariant), exit code 1. */
export class BugError extends LlavaError {
  override readonly exitCode = 1;
}
