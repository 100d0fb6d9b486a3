// Whether a conversation holds against captions and boxes: objects that are not there, wrong numbers, wrong sides.
import type { CaptionedPicture } from "../../data/sample.ts";
import { isPunctuation, wordsOf } from "../facts/caption.ts";
import { findMentions, statedCount, type Mention } from "../facts/mention.ts";
import type { QuestionAnswer } from "../parse.ts";
import type { FactSheet } from "../sheet.ts";
import { numberIn, polarity, type AnswerForm } from "./form.ts";
import { sidesContradict } from "./sides.ts";

export type GroundingReason =
  | "absent object"
  | "denied object"
  | "count"
  | "left and right"
  | "unknown region"
  | "not absent";

/** Names that mean something else as often as not. */
const ambiguous = new Set(
  "orange,bear,train,remote,tie,sink,book,mouse,kite,bat,cup,toilet,bus,clock,light,cell phone,hair drier".split(","),
);

/** What is thought about need not be seen: sentences with such words claim nothing. */
const hypothetical =
  /\b(could|may|might|would|should|if|perhaps|maybe|possibly|probably|likely|imagine|such as|for example|like|often|usually|typically|sometimes|need|needs|want|wants|whether|or)\b/i;
const negative = /\b(no|not|none|never|neither|nor|without|nothing|absent|missing)\b|n't\b/i;

/**
 * The reason to drop a conversation about a picture, by the first pair that does not hold. `sees`: the teacher saw the
 * picture, and may name what neither captions nor boxes do.
 */
export function checkGrounding(
  pairs: readonly QuestionAnswer[],
  form: AnswerForm,
  sheet: FactSheet,
  sees = false,
): GroundingReason | undefined {
  for (const pair of pairs) {
    const found =
      form === "denial" ? checkDenial(pair, sheet) : (checkQuestion(pair, sheet) ?? checkClaims(pair, sheet));
    // who saw the picture knows of more than words and boxes do
    const reason = sees && found === "absent object" ? undefined : found;
    if (reason !== undefined) return reason;
    if (sidesContradict(pair, sheet)) return "left and right";
  }
  return undefined;
}

const presence = /^(is|are) there\b|^(can|do) you (see|find)\b|^does the (picture|image|photo) (show|contain)\b/i;
const howMany = /\bhow many\b/i;
/** What may follow the thing that is asked after; "a dog on the left" asks for more than the dog. */
const nothingMore =
  /^((are|is)( there| visible)?|can (you|be) (see|seen|count|find)|do you (see|count)|anywhere|visible)? ?(here|(in|on) (the|this) (picture|image|photo|scene))?$/;

/** Questions after presence and number, whose short answers claim something. */
function checkQuestion({ question, answer }: QuestionAnswer, sheet: FactSheet): GroundingReason | undefined {
  const words = wordsOf(question);
  const [asked, ...others] = sure(findMentions(words, sheet.index));
  if (asked === undefined || others.length > 0) return undefined;
  const { groups, doubtful } = sheet.scene;
  const group = groups.get(asked.name);
  const tail = words
    .slice(asked.end)
    .filter((word) => !isPunctuation(word))
    .join(" ");
  if (!nothingMore.test(tail)) return undefined;
  const said = polarity(answer);
  if (said !== undefined && presence.test(question.trim())) {
    if (said === "yes" && !doubtful.has(asked.name)) return "absent object";
    return said === "no" && group !== undefined && asked.exact ? "denied object" : undefined;
  }
  const number = numberIn(answer);
  if (number === undefined || !howMany.test(question)) return undefined;
  if (group === undefined) return number > 0 && !doubtful.has(asked.name) ? "absent object" : undefined;
  return group.countable && asked.exact && number !== group.boxes.length ? "count" : undefined;
}

/** Statements in running text. */
function checkClaims({ answer }: QuestionAnswer, sheet: FactSheet): GroundingReason | undefined {
  const { groups, doubtful } = sheet.scene;
  for (const sentence of answer.split(/(?<=[.!?])\s+/)) {
    if (negative.test(sentence) || hypothetical.test(sentence)) continue;
    const words = wordsOf(sentence);
    for (const mention of sure(findMentions(words, sheet.index))) {
      if (!mention.exact || ambiguous.has(mention.name)) continue;
      if (!doubtful.has(mention.name)) return "absent object";
      const group = groups.get(mention.name);
      const stated = statedCount(words, mention);
      // fewer may be a part of them; more than there are cannot be
      if (group?.countable === true && typeof stated === "number" && stated > group.boxes.length) return "count";
    }
  }
  return undefined;
}

/** A question after something that is not there must name it, and nothing of what is there in its place. */
function checkDenial({ question }: QuestionAnswer, sheet: FactSheet): GroundingReason | undefined {
  const named = sure(findMentions(wordsOf(question), sheet.index));
  return named.some(({ name }) => !sheet.scene.doubtful.has(name)) ? undefined : "not absent";
}

const box =
  /\[\s*([01](?:\.\d+)?|\.\d+)\s*,\s*([01](?:\.\d+)?|\.\d+)\s*,\s*([01](?:\.\d+)?|\.\d+)\s*,\s*([01](?:\.\d+)?|\.\d+)\s*\]/g;
/** Half of what three decimals can tell, and some room for those who write two. */
const nearly = 0.0055;

/** Every question names exactly one of the picture's boxes, as it was given. */
export function checkRegions(pairs: readonly QuestionAnswer[], picture: CaptionedPicture): GroundingReason | undefined {
  const known = [...(picture.regions ?? []), ...(picture.objects ?? [])].map((each) => each.box);
  const names = ({ question }: QuestionAnswer): boolean => {
    const [found, ...more] = [...question.matchAll(box)].map((match) => match.slice(1, 5).map(Number));
    if (found === undefined || more.length > 0) return false;
    return known.some((edges) => edges.every((edge, i) => Math.abs(edge - (found[i] as number)) <= nearly));
  };
  return pairs.every(names) ? undefined : "unknown region";
}

function sure(mentions: readonly Mention[]): Mention[] {
  return mentions.filter((mention) => mention.sure);
}
