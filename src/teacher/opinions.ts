// Second opinions on samples: a judge that sees what is known of the picture, and a blind answer that sees nothing.
import { hash } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { Ledger } from "../endpoint/ledger.ts";
import { encodeRequest, replyIn, type ChatMessage, type ChatReply } from "../endpoint/wire.ts";
import { readTextFile } from "../formats/node.ts";
import type { Askable, TeacherRequest } from "./messages.ts";
import type { QuestionAnswer } from "./parse.ts";

/** A conversation that passed all checks, and where it came from. */
export interface Accepted {
  readonly request: TeacherRequest;
  readonly pairs: readonly QuestionAnswer[];
  readonly reply: ChatReply;
}

/** What came of asking about a sample. */
export interface Finding {
  /** why it is dropped */
  readonly reason?: "judge";
  /** noted with it */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly reply?: ChatReply;
}

export interface Opinion {
  requests(accepted: Accepted): readonly Askable[];
  find(accepted: Accepted, ledger: Ledger): Finding;
}

const version = 1;

/** A judge: told what the teacher was told, and the conversation; what it calls wrong is dropped. */
export async function openJudge(model: string): Promise<Opinion> {
  const path = fileURLToPath(new URL("./judge/prompt.md", import.meta.url));
  const system = (await readTextFile(path)).trim();
  const request = ({ request, pairs }: Accepted): Askable => {
    // it sees what the teacher saw
    const shown = request.pictures === undefined ? {} : { pictures: request.pictures };
    const talk = pairs.map(({ question, answer }) => `Question: ${question}\nAnswer: ${answer}`).join("\n");
    const content = `What is known\n${request.context}\n\nThe talk\n${talk}`;
    const messages: ChatMessage[] = [
      { role: "system", content: system },
      { role: "user", content, ...shown },
    ];
    return askable(`${request.id}-judge`, { model, maxTokens: 120, temperature: 0, messages }, (reply) =>
      verdictIn(reply) === undefined ? { reason: "judge without a verdict" } : {},
    );
  };
  return {
    requests: (accepted) => [request(accepted)],
    find(accepted, ledger) {
      const row = ledger.answer(request(accepted).key);
      if (row === undefined) return {};
      const reply = replyIn(row.body);
      const verdict = verdictIn(reply);
      if (verdict === undefined) return { reply };
      return verdict === "wrong" ? { reason: "judge", reply } : { extra: { judge: "right" }, reply };
    },
  };
}

function verdictIn({ text }: ChatReply): "right" | "wrong" | undefined {
  return /^\W*Verdict:\W*(right|wrong)\b/im.exec(text)?.[1]?.toLowerCase() as "right" | "wrong" | undefined;
}

const blindPrompt =
  "Somebody asks about a picture that you cannot see. Answer with a single word or phrase, the likeliest one. Never say that you cannot see it.";

/**
 * The same questions without the picture: which of the short answers a model gives that saw nothing. Samples are
 * flagged, not dropped; MMStar found whole benchmarks that are solved so (Chen et al. 2024, arXiv 2403.20330).
 */
export function openBlindTest(model: string): Opinion {
  const requests = ({ request, pairs }: Accepted): Askable[] => {
    const { answer } = request.kind;
    if (answer !== "short" && answer !== "yes-no" && answer !== "number") return [];
    return pairs.map(({ question }, i) => {
      const messages: ChatMessage[] = [
        { role: "system", content: blindPrompt },
        { role: "user", content: question },
      ];
      return askable(`${request.id}-blind-${i + 1}`, { model, maxTokens: 16, temperature: 0, messages }, () => ({}));
    });
  };
  return {
    requests,
    find(accepted, ledger) {
      const asked = requests(accepted);
      const rows = asked.map(({ key }) => ledger.answer(key));
      if (asked.length === 0 || rows.includes(undefined)) return {};
      const right = rows.filter((row, i) => {
        const said = row === undefined ? "" : plain(replyIn(row.body).text);
        return said === plain(accepted.pairs[i]?.answer ?? "");
      });
      return { extra: { blind_right: right.length / asked.length } };
    },
  };
}

/** First clause, lower case, without articles and marks. */
function plain(text: string): string {
  const [first = ""] = text.toLowerCase().split(/[.,\n]/);
  return first
    .replace(/[^\p{L}\p{N} ]/gu, "")
    .replace(/\b(a|an|the)\b/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

function askable(id: string, chat: ReturnType<Askable["chat"]>, verdict: Askable["verdict"]): Askable {
  const key = hash("sha256", `opinion ${version}\n${encodeRequest(chat, "max_tokens")}`).slice(0, 32);
  return { id, key, chat: () => chat, verdict };
}
