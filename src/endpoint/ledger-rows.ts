// The rows of a ledger: one JSON object a line, whose head (checksum, kind, key, money) is read without parsing the rest.
import { crc32 } from "node:zlib";

/** What every row has. Money is whole nanodollars; a key is 32 hexadecimal digits. */
interface Row {
  readonly key: string;
  readonly cost: number;
  readonly at: string;
}

/** Before a request is sent: `cost` is the most that it can cost. */
export interface SentRow extends Row {
  readonly t: "sent";
  readonly id: string;
  /** which attempt at this request it is, from 1 */
  readonly n: number;
  readonly to: string;
  readonly model: string;
  /** sent with the request, and again with the same request while this one is in doubt */
  readonly nonce: string;
}

/** A request that goes with a batch; its outcome comes with the batch's. */
export interface QueuedRow extends Row {
  readonly t: "queued";
  readonly id: string;
  readonly batch: string;
}

/** The endpoint's reply as it came, with what it cost; written before anything is made of the text in it. */
export interface AnswerRow extends Row {
  readonly t: "answer";
  readonly id: string;
  readonly n: number;
  readonly to: string;
  /** milliseconds from sending to the last byte; 0 in a batch */
  readonly ms: number;
  readonly in: number;
  readonly out: number;
  /** the endpoint did not count: tokens and cost are the most that they can be */
  readonly uncounted?: true;
  /** the endpoint gave this answer for all attempts under its nonce: those in doubt cost nothing */
  readonly settles?: true;
  readonly body: string;
}

/** An attempt without a usable reply. In doubt, it may have been charged up to `cost`; else `cost` is 0. */
export interface FailedRow extends Row {
  readonly t: "failed";
  readonly id: string;
  readonly n: number;
  readonly to: string;
  readonly ms: number;
  readonly code: string;
  readonly got: string;
  readonly nonce: string;
  readonly doubt?: true;
  /** what came, if anything did; cut off where it is long */
  readonly body?: string;
}

/** The user's word that a request in doubt may be asked again. */
export interface AgainRow extends Row {
  readonly t: "again";
}

/** What is known of a batch; its key is the batch's own, which its requests name. */
export interface BatchRow extends Row {
  readonly t: "batch";
  readonly state: "planned" | "created" | "ended";
  readonly to: string;
  readonly requests: number;
  /** the endpoint's name for it */
  readonly remote?: string;
  /** how it ended, in the endpoint's words */
  readonly status?: string;
}

/** A run began: what it asks with. Its key is all zeros. */
export interface RunRow extends Row {
  readonly t: "run";
  readonly version: 1;
  readonly settings: Readonly<Record<string, unknown>>;
}

export type LedgerRow = SentRow | QueuedRow | AnswerRow | FailedRow | AgainRow | BatchRow | RunRow;

/** The key of rows that are about no single request. */
export const noKey = "0".repeat(32);

/** The beginning of a row, enough to keep the books. */
export interface Head {
  readonly t: LedgerRow["t"];
  readonly key: string;
  readonly cost: number;
  readonly doubt: boolean;
  readonly settles: boolean;
  readonly in: number;
  readonly out: number;
}

const headPattern =
  /^\{"crc":"([0-9a-f]{8})","t":"([a-z]{3,6})","key":"([0-9a-f]{32})","cost":(\d{1,16})(,"doubt":true)?(,"settles":true)?(?:,"in":(\d{1,12}),"out":(\d{1,12}))?,/;
const headBytes = 200;
const kinds: ReadonlySet<string> = new Set(["sent", "queued", "answer", "failed", "again", "batch", "run"]);

/** The row as a line, its fields in the order in which the head is read. */
export function encodeRow(row: LedgerRow): Buffer {
  const { t, key, cost, ...others } = row;
  const { doubt, settles, ...more } = others as { doubt?: true; settles?: true };
  const rest = JSON.stringify({ t, key, cost, doubt, settles, ...counts(row), ...more }).slice(1);
  return Buffer.from(`{"crc":"${crc32(rest).toString(16).padStart(8, "0")}",${rest}\n`);
}

function counts(row: LedgerRow): { in?: number; out?: number } {
  return row.t === "answer" ? { in: row.in, out: row.out } : {};
}

/** `{"crc":"xxxxxxxx",`: what the checksum does not cover */
const prefix = 18;

/** The head of the line at `start`, which ends before `end`; undefined where the line is not whole. */
export function decodeHead(bytes: Buffer, start: number, end: number): Head | undefined {
  const found = headPattern.exec(bytes.toString("latin1", start, Math.min(end, start + headBytes)));
  if (found === null) return undefined;
  const [, crc = "", t = "", key = "", cost, doubt, settles, promptTokens, completionTokens] = found;
  if (!kinds.has(t) || crc32(bytes.subarray(start + prefix, end)) !== Number.parseInt(crc, 16)) return undefined;
  return {
    t: t as LedgerRow["t"],
    key,
    cost: Number(cost),
    doubt: doubt !== undefined,
    settles: settles !== undefined,
    in: Number(promptTokens ?? 0),
    out: Number(completionTokens ?? 0),
  };
}

/** A whole row; undefined where it is not as it was written. */
export function decodeRow(line: Buffer): LedgerRow | undefined {
  const end = line.at(-1) === 10 ? line.length - 1 : line.length;
  return decodeHead(line, 0, end) === undefined ? undefined : (JSON.parse(line.toString("utf8", 0, end)) as LedgerRow);
}
