// `llava teach status|retry|export`: what a teacher's ledger holds, and what to do about requests in doubt.
import type { Command } from "commander";
import { openLedger, type Ledger } from "../endpoint/ledger.ts";
import { showMoney } from "../endpoint/price.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { askDoubtsAgain, exportAttempts, statusOf, type LedgerStatus } from "../teacher/ledger-report.ts";
import { ledgerPath } from "../teacher/run.ts";
import { withShared } from "../queue/shared.ts";
import type { SharedLedger } from "../queue/shared-ledger.ts";
import { addVerb, refuseOverwrite } from "./options.ts";
import { grouped, print, printJson, table } from "./output.ts";
import { addSharedLedgerOptions, meetingOf, refreshCopy, type QueueFlags } from "./teach-queue.ts";

interface Options extends QueueFlags {
  readonly json?: boolean;
}

/** Adds the verbs below `llava teach`. FILE is what `--out` named, or the ledger itself. */
export function addLedgerVerbs(teach: Command): void {
  addSharedLedgerOptions(addVerb(teach, "status <file>", "what an endpoint was asked, what it answered, what it cost"))
    .option("--json", "print it as JSON")
    .action(status);
  const again = "let the next run ask again for requests that may have been charged without an answer";
  addSharedLedgerOptions(addVerb(teach, "retry <file>", again))
    .option("--json", "print it as JSON")
    .action(retry);
  const attempts = "write every attempt with its tokens and money, as .csv or .jsonl";
  addSharedLedgerOptions(addVerb(teach, "export <file> <to>", attempts)).action(exportTo);
}

const ending = ".ledger.jsonl";

/** Looks at a ledger; where a queue is named, at a copy of its ledger as it is now. */
async function readLedger<T>(file: string, flags: QueueFlags, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  const out = outOf(file);
  const meeting = meetingOf(out, flags);
  if (meeting !== undefined) await refreshCopy(meeting, ledgerPath(out));
  return withLedger(file, true, work);
}

function outOf(file: string): string {
  return file.endsWith(ending) ? file.slice(0, -ending.length) : file;
}

async function withLedger<T>(file: string, readOnly: boolean, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  const path = ledgerPath(outOf(file));
  // one that is not there must not be made by looking at it
  if (!readOnly) await (await openLedger(path, { readOnly: true })).close();
  const ledger = await openLedger(path, { readOnly });
  try {
    return await work(ledger);
  } finally {
    await ledger.close();
  }
}

async function status(file: string, { json, ...flags }: Options): Promise<void> {
  const found = await readLedger(file, flags, statusOf);
  if (json) printJson(found);
  else print(describe(found));
}

async function retry(file: string, { json, ...flags }: Options): Promise<void> {
  const meeting = meetingOf(outOf(file), flags);
  const consent = (ledger: SharedLedger): ReturnType<typeof askDoubtsAgain> => ledger.consent();
  const { requests, atMost } = await (meeting === undefined
    ? withLedger(file, false, askDoubtsAgain)
    : withShared(meeting, consent));
  if (json) printJson({ requests, at_most: atMost * 1e-9 });
  else if (requests === 0) print("no request is in doubt");
  else
    print(
      `the next run asks again for ${grouped(requests)} requests; charged twice, they would cost ${showMoney(atMost)} more at most`,
    );
}

async function exportTo(file: string, to: string, flags: QueueFlags): Promise<void> {
  refuseOverwrite(file, to);
  await readLedger(file, flags, (ledger) =>
    writeFileAtomic(to, exportAttempts(ledger, to.endsWith(".csv") ? "csv" : "jsonl")),
  );
  print(to);
}

function describe(status: LedgerStatus): string {
  const money = (dollars: number): string => showMoney(dollars * 1e9);
  const endpoints = Object.entries(status.by_endpoint);
  const rows = [
    [
      "answers",
      grouped(status.answers),
      `${money(status.spent)} for ${tokens(status)} in ${grouped(status.runs)} runs`,
    ],
    ...(endpoints.length > 1
      ? endpoints.map(([url, { answers, spent }]) => ["", grouped(answers), `${money(spent)} at ${url}`])
      : []),
    ...Object.entries(status.failed).map(([code, n]) => ["failed", grouped(n), code]),
    ...(status.in_doubt_at_most > 0 || status.in_doubt > 0
      ? [["in doubt", grouped(status.in_doubt), `perhaps charged, ${money(status.in_doubt_at_most)} at most`]]
      : []),
    ...(status.open_batches > 0 ? [["batches", grouped(status.open_batches), "under way"]] : []),
  ];
  const advice = status.in_doubt > 0 ? "\nllava teach retry FILE lets the next run ask for them again" : "";
  return `${table(rows, [1])}${advice}`;
}

function tokens({ prompt_tokens, completion_tokens }: LedgerStatus): string {
  return `${grouped(prompt_tokens)} + ${grouped(completion_tokens)} tokens`;
}
