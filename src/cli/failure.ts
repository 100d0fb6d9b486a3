// One line for every failure, and its exit code: 1 failed while running, 2 wrong usage or bad input, 130 interrupted.
import { CommanderError } from "commander";
import { BugError, LlavaError } from "../errors.ts";
import { harmless } from "./harmless.ts";
import { Interrupted } from "./interrupt.ts";
import { log } from "./progress.ts";

/** What the process exits with after `error`. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return 130;
  if (error instanceof LlavaError) return error.exitCode;
  // commander ends its work by throwing, also after --help and --version
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return 1;
}

/** Says on stderr what went wrong; the stack only when asked for. */
export function reportFailure(error: unknown, debug: boolean): void {
  const line = describeFailure(error);
  if (line !== undefined) log(line);
  if (debug && error instanceof Error && line !== undefined) {
    for (let each: unknown = error; each instanceof Error; each = each.cause) log(each.stack ?? String(each));
  }
}

/** `error[CODE]: message` in one line; nothing for help, version and an interruption. */
export function describeFailure(error: unknown): string | undefined {
  if (error instanceof Interrupted) return undefined;
  if (error instanceof LlavaError) {
    const bug = error instanceof BugError ? "; this is llava's mistake: please report it with what --debug adds" : "";
    return `error[${error.code}]: ${oneLine(error.message)}${bug}`;
  }
  if (error instanceof CommanderError) return error.exitCode === 0 ? undefined : describeUsage(error);
  if (isSystemError(error)) return `error[${error.code}]: ${systemProblem(error)}`;
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return `error[UNEXPECTED]: ${oneLine(message)}; this is llava's mistake: please report it with what --debug adds`;
}

function describeUsage(error: CommanderError): string | undefined {
  const message = oneLine(error.message.replace(/^error: /, ""));
  // commander showed the help itself
  if (message === "(outputHelp)") return undefined;
  return `error[USAGE]: ${message.replace("(Did you mean", "(did you mean")}`;
}

/** Control characters of hostile names stay out of the terminal. */
function oneLine(text: string): string {
  return harmless(text.replaceAll(/\s*\n\s*/g, " ").replaceAll("\t", " "));
}

interface SystemError extends Error {
  readonly code: string;
  readonly syscall: string;
  readonly path?: string;
}

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && "code" in error && "syscall" in error && typeof error.code === "string";
}

const systemProblems: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the disk",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOENT: "no such file or folder",
  ENOTDIR: "a file where a folder belongs",
  EISDIR: "a folder where a file belongs",
  EMFILE: "too many open files (see ulimit -n)",
  EADDRINUSE: "the address is in use by another program",
};

function systemProblem(error: SystemError): string {
  const what = systemProblems[error.code] ?? error.message;
  return oneLine(error.path === undefined ? `${what} (${error.syscall})` : `${what}: ${error.path}`);
}
