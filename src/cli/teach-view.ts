// What a person is told of a teacher's run: how far it is, and what came of it.
import { showMoney } from "../endpoint/price.ts";
import type { TeacherProgress } from "../teacher/progress.ts";
import type { TeacherSummary } from "../teacher/run.ts";
import { grouped } from "./output.ts";
import { log } from "./progress.ts";

/** What is left to do or to know, and what it cost, on stderr. */
export function explain(
  { inDoubt, doubt, failed, budgetSpent, spent }: TeacherSummary,
  { out, budget = 0 }: { readonly out: string; readonly budget?: number },
): void {
  if (budgetSpent)
    log(`the budget of ${showMoney(budget * 1e9)} leaves no room for the next request: the rest was not asked`);
  for (const [code, n] of Object.entries(failed))
    log(`${grouped(n)} requests failed with ${code}; the same command asks for them again`);
  if (inDoubt.length > 0)
    log(
      `${grouped(inDoubt.length)} requests were cut off and may have been charged; to ask for them again: llava teach retry ${out}`,
    );
  if (spent + doubt > 0)
    log(
      `spent ${showMoney(spent)}${doubt > 0 ? `, and ${showMoney(doubt)} at most for attempts that were cut off` : ""}`,
    );
}

/** Requests with an outcome. */
export function done({ resumed, accepted, answered, elsewhere, inDoubt, dropped, failed }: TeacherProgress): number {
  return resumed + accepted + answered + elsewhere + inDoubt + sum(dropped) + sum(failed);
}

/** What stands behind the bar. */
export function note({ dropped, failed, retries, completionTokens, spent, elsewhere }: TeacherProgress): string {
  const parts = [`${grouped(completionTokens)} tokens written`];
  if (elsewhere > 0) parts.push(`${grouped(elsewhere)} by other workers`);
  if (spent > 0) parts.push(showMoney(spent));
  if (sum(dropped) > 0) parts.push(`${grouped(sum(dropped))} dropped`);
  if (sum(failed) > 0) parts.push(`${grouped(sum(failed))} failed`);
  if (retries > 0) parts.push(`${grouped(retries)} retries`);
  return parts.join(", ");
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, n) => total + n, 0);
}
