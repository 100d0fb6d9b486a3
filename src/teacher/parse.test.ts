import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkText } from "./checks/text.ts";
import { parseReply, type QuestionAnswer } from "./parse.ts";

const blocks = (pairs: readonly QuestionAnswer[]): string =>
  pairs.map(({ question, answer }) => `Question:\n${question}\n===\nAnswer:\n${answer}`).join("\n===\n");

const words = fc.string({ minLength: 1, maxLength: 40 }).map((text) => `x${text.replaceAll("\r", " ")}`.trimEnd());
const line = words.filter((text) => !/^(={3,}|Question:|Answer:)/m.test(text));

describe("replies", () => {
  test("what is written in the form is read as it was", () => {
    const pair = fc.record({ question: line, answer: line });
    fc.assert(
      fc.property(fc.array(pair, { minLength: 1, maxLength: 6 }), fc.boolean(), (pairs, closing) => {
        expect(parseReply(blocks(pairs) + (closing ? "\n===\n" : ""), "turns", "")).toEqual(pairs);
      }),
    );
  });

  test("any text gives pairs of non-empty texts or a reason, never an error", () => {
    const text = fc.array(fc.constantFrom("Question:", "Answer:", "===", "\n", "a", " ", "====", "\r\n"), {
      maxLength: 14,
    });
    fc.assert(
      fc.property(text, fc.constantFrom("turns", "pair", "answer"), (parts, form) => {
        const read = parseReply(parts.join(""), form as "turns", "q");
        if (typeof read === "string") return;
        expect(read.length).toBeGreaterThan(0);
        for (const { question, answer } of read) expect(question.trim() !== "" && answer.trim() !== "").toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ["", "turns", "empty"],
    ["  \n", "answer", "empty"],
    ["Here are the questions.\n===\nQuestion:\na", "turns", "layout"],
    ["Question:\na\nAnswer:\nb", "turns", "layout"],
    ["Answer:\nb\n===\nQuestion:\na", "turns", "order"],
    ["Question:\na\n===\nQuestion:\nb", "turns", "order"],
    ["Question:\na\n===\nAnswer:\n", "turns", "empty"],
    ["Question:\na\n===\nAnswer:\nb\n===\nQuestion:\nc", "turns", "unanswered"],
    ["Question:\na\n===\nAnswer:\nb\n===\nQuestion:\nc\n===\nAnswer:\nd", "pair", "not one pair"],
    ["Question:\na\n===\nAnswer:\nb", "answer", "layout"],
  ] as const)("%j as %s: %s", (text, form, reason) => {
    expect(parseReply(text, form, "q")).toBe(reason);
  });
});

describe("filters", () => {
  test.each([
    ["The caption says that a dog runs.", "source leak"],
    ["A bus, based on the provided information.", "source leak"],
    ["There is no mention of a teapot.", "source leak"],
    ["The bounding box shows a cat.", "source leak"],
    ["The dog is at [0.12, 0.3, 0.5, 0.61].", "coordinates"],
    ["It spans from 0.123 to 0.456 of the width.", "coordinates"],
    ["I'm sorry, but I cannot help with that.", "refusal"],
    ["As an AI language model, I see nothing.", "refusal"],
    ["I can't see the image.", "refusal"],
    ["ERROR: rate limit exceeded", "error text"],
    ["It looks like your message is empty.", "error text"],
    ["<html><body>502</body></html>", "error text"],
    ["A dog <image> here", "markup"],
    ["A dog <|im_end|>", "markup"],
  ])("%s: %s", (answer, reason) => {
    expect(checkText([{ question: "What is it?", answer }])).toBe(reason);
  });

  test("a question that holds its answer", () => {
    const pair = { question: "Why is the man in the red coat running fast?", answer: "The man in the red coat." };
    expect(checkText([pair])).toBe("answer in question");
  });

  test.each([
    "A man is sorry to leave the train.",
    "The box on the left holds 3 apples, the other 2.5 kilograms of pears.",
    "She cannot see over the fence.",
    "No, the dog is asleep.",
    "The text on the sign is hard to read.",
  ])("%s passes", (answer) => {
    expect(checkText([{ question: "What is it?", answer }])).toBeUndefined();
  });
});
