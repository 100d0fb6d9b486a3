// `llava eval votes`: what the readers of an arena found better, added up.
import type { Command } from "commander";
import { readVotes } from "../evaluate/votes/line.ts";
import { scoreVotes, type VoteScore } from "../evaluate/votes/score.ts";
import { InputError } from "../errors.ts";
import { addVerb } from "./options.ts";
import { print, printJson, table } from "./output.ts";
import { log } from "./progress.ts";

interface Options {
  readonly blind?: boolean;
  readonly json?: boolean;
}

/** Adds the verb below `llava eval`. */
export function addVotesVerb(evaluate: Command): void {
  addVerb(evaluate, "votes <file>", "add up the votes that llava serve --votes has written")
    .option("--blind", "count only votes given before the names were shown")
    .option("--json", "print the figures as JSON")
    .action(countVotes);
}

async function countVotes(file: string, { blind, json }: Options): Promise<void> {
  const { votes, torn } = await readVotes(file);
  if (torn > 0) log(`${torn === 1 ? "1 line was" : `${torn} lines were`} cut off in the middle and left out`);
  const counted = blind === true ? votes.filter((vote) => vote.blind) : votes;
  if (counted.length === 0) {
    const got = `${votes.length} votes, none of them blind`;
    throw new InputError("VOTES_NONE", { expected: "a blind vote", got, where: file, fix: "leave --blind out" });
  }
  const score = scoreVotes(counted);
  if (json) printJson(score);
  else print(describeVotes(score));
}

/** A row for each two that met; the figures are the first one's. */
function describeVotes({ votes, blind, pairs, same, a_share }: VoteScore): string {
  const percent = (value: number): string => (100 * value).toFixed(1);
  const rows = pairs.map(({ first, second, n, won, lost, tie, both_bad, score, interval }) => [
    ...[first, second, ...[n, won, lost, tie, both_bad].map(String), `${percent(score)} %`],
    interval === undefined ? "" : interval.map(percent).join(" to "),
  ]);
  const head = ["first", "second", "votes", "won", "lost", "tie", "both bad", "score", "95 %"];
  const notes = [
    `${votes} votes, ${blind} of them blind; of those for one side ${percent(a_share)} % went to A`,
    ...(same === 0 ? [] : [`${same} between two of the same model and settings, in no row`]),
  ];
  return [...(rows.length === 0 ? [] : [table([head, ...rows], [2, 3, 4, 5, 6, 7])]), ...notes].join("\n");
}
