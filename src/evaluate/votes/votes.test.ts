// Votes added up: the same whichever side each stood on, by hand-worked counts, torn lines left out.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Contender, readVotes, type VoteLine } from "./line.ts";
import { scoreVotes } from "./score.ts";

const red: Contender = { model: "red", settings: {} };
const blue: Contender = { model: "blue", settings: {} };
const line = (vote: VoteLine["vote"], a: Contender, b: Contender, more: Partial<VoteLine> = {}): VoteLine => ({
  ...{ time: "2026-01-02T03:04:05.678Z", vote, blind: true, a, b, conversation: "sha256:1" },
  ...more,
});

describe("votes", () => {
  it("are the same whichever side each stood on", () => {
    const straight = [line("a", blue, red), line("b", blue, red), line("a", blue, red), line("tie", blue, red)];
    const turned = [line("b", red, blue), line("a", red, blue), line("b", red, blue), line("tie", red, blue)];
    expect(scoreVotes(turned).pairs).toEqual(scoreVotes(straight).pairs);
    expect(scoreVotes(straight).pairs).toEqual([
      // (2 + 0.5) / 4; all of one conversation, so there is nothing to draw from
      { first: "blue", second: "red", n: 4, won: 2, lost: 1, tie: 1, both_bad: 0, score: 0.625 },
    ]);
    expect([scoreVotes(straight).a_share, scoreVotes(turned).a_share]).toEqual([2 / 3, 1 / 3]);
  });

  it("have an interval over conversations: votes about one are no independent draws", () => {
    const of = (conversations: number): VoteLine[] =>
      Array.from({ length: 60 }, (_, i) =>
        line(i % 3 === 0 ? "b" : "a", blue, red, { conversation: `sha256:${i % conversations}` }),
      );
    const width = (lines: readonly VoteLine[]): number => {
      const [low, high] = scoreVotes(lines).pairs[0]!.interval!;
      expect([low < 2 / 3, high > 2 / 3]).toEqual([true, true]);
      return high - low;
    };
    // two of the three conversations are always won, one is always lost
    expect(width(of(3))).toBeGreaterThan(2 * width(of(60)));
    // 60 draws of p = 2/3: ±1.96·√(p(1 − p)/60) is 0.24 wide
    expect(width(of(60))).toBeCloseTo(0.24, 1);
  });

  it("tell two settings of one model apart, and leave out those between equals", () => {
    const warm: Contender = { model: "red", settings: { temperature: 0.7, max_tokens: 512 } };
    const cold: Contender = { model: "red", settings: { max_tokens: 512 } };
    const sameCold: Contender = { model: "red", settings: { max_tokens: 512 } };
    const polite: Contender = { ...cold, system: "Be polite." };
    const score = scoreVotes([line("a", warm, cold), line("both_bad", cold, polite), line("a", cold, sameCold)]);
    expect(score).toMatchObject({ votes: 3, same: 1 });
    expect(score.pairs.map(({ first, second }) => [first, second])).toEqual([
      ["red, system none, temperature 0.7", "red, system none, temperature unset"],
      ["red, system none, temperature unset", "red, system Be polite., temperature unset"],
    ]);
    expect(score.pairs[1]).toMatchObject({ both_bad: 1, score: 0.5 });
  });
});

describe("files of votes", () => {
  let folder: string;
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "votes-"))));
  afterAll(() => rm(folder, { recursive: true }));
  const file = async (...lines: string[]): Promise<string> => {
    const path = join(folder, "votes.jsonl");
    await writeFile(path, lines.join("\n"));
    return path;
  };

  it("are read with their torn lines counted", async () => {
    const [one, two] = [line("a", red, blue), line("tie", red, blue, { blind: false })].map((each) =>
      JSON.stringify(each),
    ) as [string, string];
    const read = await readVotes(await file(one, one.slice(0, 40), two, ""));
    expect(read).toEqual({ votes: [JSON.parse(one), JSON.parse(two)], torn: 1 });
  });

  it.each([
    ["no vote", ["{}"]],
    ["another vote", [JSON.stringify({ ...line("a", red, blue), vote: "c" })]],
    ["nothing", []],
    ["no JSON", ["words"]],
  ])("of %s are refused", async (_, lines) => {
    await expect(readVotes(await file(...lines))).rejects.toMatchObject({ code: "VOTE_SHAPE" });
  });

  it("must be there", async () => {
    await expect(readVotes(join(folder, "none"))).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});
