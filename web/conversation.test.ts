// Branches of a conversation, and files of conversations that may have been made by anyone.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addTurn,
  type Answer,
  type Conversation,
  endCutAnswers,
  newConversation,
  pathTo,
  type Question,
  showBranch,
  siblings,
} from "./conversation.ts";
import { exportText, importText } from "./transfer.ts";

const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const question = (n: number, parent: string | null, text = `question ${n}`): Question => ({
  ...{ id: id(n), parent, role: "user", text, created: n, pictures: [] },
});
const answer = (n: number, parent: string, more: Partial<Answer> = {}): Answer => ({
  ...{ id: id(n), parent, role: "assistant", text: `answer ${n}`, created: n, state: "complete", model: "m" },
  ...more,
});

/** A conversation grown by asking and answering anew at any earlier turn. */
const grown = fc.array(fc.nat(), { minLength: 1, maxLength: 30 }).map((choices) => {
  let conversation = newConversation(id(0), 0);
  choices.forEach((choice, i) => {
    const turns = [null, ...Object.values(conversation.turns)];
    const before = turns[choice % turns.length]!;
    const turn =
      before?.role === "user" ? answer(i + 1, before.id) : question(i + 1, before === null ? null : before.id);
    conversation = addTurn(conversation, turn);
  });
  return conversation;
});

describe("branches", () => {
  it("show every turn there is, through the way that leads to it", () => {
    fc.assert(
      fc.property(grown, (conversation) => {
        for (const turn of Object.values(conversation.turns)) {
          const shown = showBranch(conversation, turn.id);
          const path = pathTo(shown, shown.leaf);
          expect(path).toContain(turn);
          expect(path.map(({ role }) => role)).toEqual(path.map((_, i) => (i % 2 === 0 ? "user" : "assistant")));
          expect(path.map(({ parent }) => parent)).toEqual([null, ...path.slice(0, -1).map((each) => each.id)]);
          expect(siblings(conversation, turn)).toContain(turn);
        }
      }),
    );
  });

  it("go down the newest turns, and a new turn is shown at once", () => {
    let conversation = addTurn(newConversation(id(0), 0), question(1, null, "First\nline"));
    conversation = addTurn(conversation, answer(2, id(1)));
    conversation = addTurn(conversation, answer(3, id(1)));
    conversation = addTurn(conversation, question(4, id(2)));
    expect(pathTo(conversation, conversation.leaf).map((turn) => turn.id)).toEqual([1, 2, 4].map(id));
    expect(showBranch(conversation, id(1)).leaf).toBe(id(3));
    expect(showBranch(conversation, id(2)).leaf).toBe(id(4));
    expect(siblings(conversation, conversation.turns[id(3)]!).map((turn) => turn.id)).toEqual([2, 3].map(id));
    expect(conversation.title).toBe("First");
  });

  it("never leave an answer that was cut off as one that is coming", () => {
    let conversation = addTurn(newConversation(id(0), 0), question(1, null));
    conversation = addTurn(conversation, answer(2, id(1), { state: "streaming" }));
    expect(endCutAnswers(conversation).turns[id(2)]).toMatchObject({ state: "cut", text: "answer 2" });
  });
});

describe("files", () => {
  it("come back as they went", () => {
    fc.assert(fc.property(grown, (one) => void expect(importText(exportText([one]))).toEqual([one])));
  });

  const sound = addTurn(addTurn(newConversation(id(0), 0), question(1, null)), answer(2, id(1)));
  const withTurns = (turns: Record<string, unknown>, more: object = {}): string =>
    JSON.stringify({
      ...{ format: "llava-ts conversations", version: 1 },
      conversations: [{ ...sound, turns: { ...sound.turns, ...turns }, ...more }],
    });
  const picture = (url: string): string =>
    withTurns({ [id(1)]: { ...question(1, null), pictures: [{ url, name: "x", width: 1, height: 1 }] } });

  it.each<[string, string, RegExp]>([
    ["no JSON", "{", /no JSON/],
    ["another file", "[]", /no file of conversations/],
    ["a circle", withTurns({ [id(1)]: question(1, id(2)) }), /circle/],
    ["a missing turn", withTurns({ [id(3)]: question(3, id(9)) }), /missing/],
    ["a missing end", withTurns({}, { leaf: id(9) }), /missing/],
    ["two questions in a row", withTurns({ [id(3)]: question(3, id(1)) }), /twice/],
    ["a turn under another name", withTurns({ [id(3)]: question(4, id(2)) }), /two names/],
    ["a name of every object", withTurns({ [id(3)]: { ...question(3, null), parent: "constructor" } }), /parent/],
    ["a picture elsewhere", picture("https://example.org/x.png"), /url/],
    ["a picture that is a page", picture("data:text/html;base64,PGI+"), /url/],
    ["a drawing with a script", picture("data:image/svg+xml;base64,PHN2Zz4="), /url/],
  ])("%s is refused", (_, content, message) => {
    expect(() => importText(content)).toThrow(message);
  });

  it("have no answer under way", () => {
    const coming: Conversation = addTurn(sound, question(3, id(2)));
    const file = exportText([addTurn(coming, answer(4, id(3), { state: "streaming" }))]);
    expect(importText(file)[0]!.turns[id(4)]).toMatchObject({ state: "cut" });
  });
});
