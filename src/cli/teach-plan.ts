// What `llava teach --dry-run` prints.
import { showMoney } from "../endpoint/price.ts";
import type { TeacherPlan } from "../teacher/plan.ts";
import { grouped, showSeconds, table } from "./output.ts";

/** Rows, requests, tokens, money and time, each with what it rests on. */
export function describePlan(plan: TeacherPlan): string {
  const { expected, most, measured, seconds } = plan;
  const basis =
    measured > 0 ? `as the ${grouped(measured)} answers so far` : "at 4 bytes a token and half-full answers";
  const known = [
    ...(plan.answered > 0 ? [`${grouped(plan.answered)} answered or alike`] : []),
    ...(plan.inDoubt > 0 ? [`${grouped(plan.inDoubt)} in doubt`] : []),
    ...(plan.skipped > 0 ? [`${grouped(plan.skipped)} pictures without a usable caption`] : []),
  ];
  const rows = [
    ["requests", grouped(plan.toAsk), known.length === 0 ? "" : `besides ${known.join(", ")}`],
    ["tokens in", grouped(expected.promptTokens), `${basis}; ${grouped(most.promptTokens)} at most`],
    ["tokens out", grouped(expected.completionTokens), `${grouped(most.completionTokens)} at most`],
    ["money", showMoney(expected.cost), `${showMoney(most.cost)} at most; ${showMoney(plan.spent)} spent before`],
    [
      "time",
      seconds === undefined ? "unknown" : showSeconds(seconds),
      seconds === undefined ? "before the first answers" : "",
    ],
  ];
  return table(rows, [1]);
}

/** The same for `--json`; money in dollars. */
export function planToJson({ expected, most, seconds, ...plan }: TeacherPlan): Record<string, unknown> {
  const sums = ({ promptTokens, completionTokens, cost }: TeacherPlan["most"]): Record<string, number> => ({
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    dollars: cost * 1e-9,
  });
  return {
    requests: plan.requests,
    skipped: plan.skipped,
    answered: plan.answered,
    in_doubt: plan.inDoubt,
    to_ask: plan.toAsk,
    expected: sums(expected),
    at_most: sums(most),
    measured_answers: plan.measured,
    spent: plan.spent * 1e-9,
    seconds,
  };
}
