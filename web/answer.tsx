// An answer: its words, what became of it, what it cost, and what can be done with it.
import { memo, useState } from "react";
import { AttentionView } from "./attention-view.tsx";
import { Branches } from "./branch.tsx";
import { type Answer, type Cost, pathTo } from "./conversation.ts";
import { Icon } from "./icons.tsx";
import { SafeMarkdown } from "./markdown.tsx";
import { useChat, useChatState } from "./use-chat.ts";

const endings: Partial<Record<Answer["state"], string>> = {
  length: "The answer reached the longest length allowed (see settings).",
  stopped: "Stopped.",
  cut: "Cut off: the page or the line went away while this was being answered.",
};

export const AnswerView = memo(function AnswerView({ turn }: { readonly turn: Answer }) {
  const [looking, setLooking] = useState(false);
  const coming = turn.state === "streaming";
  return (
    <article className="answer" aria-label={`Answer of ${turn.model}`} aria-busy={coming}>
      {looking ? <Looked turn={turn} onClose={() => setLooking(false)} /> : <SafeMarkdown text={turn.text} />}
      <AnswerEnd turn={turn} />
      {!coming && <AnswerTools turn={turn} looking={looking} onLook={() => setLooking(!looking)} />}
    </article>
  );
});

function Looked({ turn, onClose }: { readonly turn: Answer; readonly onClose: () => void }) {
  const { settings, conversation } = useChatState();
  return <AttentionView turn={turn} turns={pathTo(conversation, turn.id)} settings={settings} onClose={onClose} />;
}

/** What stands behind an answer's words: that more come, or how they ended. */
export function AnswerEnd({ turn: { state, problem } }: { readonly turn: Answer }) {
  return (
    <>
      {state === "streaming" && <span className="coming" aria-hidden="true" />}
      {state === "failed" && <p className="problem">{problem}</p>}
      {endings[state] !== undefined && (
        <p className="quiet">
          {endings[state]} {problem}
        </p>
      )}
    </>
  );
}

interface ToolsProps {
  readonly turn: Answer;
  readonly looking: boolean;
  readonly onLook: () => void;
}

function AnswerTools({ turn, looking, onLook }: ToolsProps) {
  const chat = useChat();
  const { streaming, conversation } = useChatState();
  const sees = pathTo(conversation, turn.id).some((each) => each.role === "user" && each.pictures.length > 0);
  return (
    <div className="tools">
      <Branches turn={turn} />
      <button
        type="button"
        className="plain small"
        disabled={streaming !== undefined}
        onClick={() => chat.answerAgain(turn.parent!)}
        aria-label="Answer again"
      >
        <Icon name="again" />
      </button>
      {turn.text !== "" && <CopyButton text={turn.text} />}
      {sees && turn.text !== "" && <LookButton looking={looking} onLook={onLook} />}
      {turn.cost && <span className="cost">{sayCost(turn.cost)}</span>}
    </div>
  );
}

export function CopyButton({ text }: { readonly text: string }) {
  const copy = (): void => void navigator.clipboard?.writeText(text);
  return (
    <button type="button" className="plain small" onClick={copy} aria-label="Copy answer">
      <Icon name="copy" />
    </button>
  );
}

export function LookButton({ looking, onLook }: Pick<ToolsProps, "looking" | "onLook">) {
  return (
    <button type="button" className="plain small look" aria-pressed={looking} onClick={onLook}>
      <Icon name="eye" /> What did it look at?
    </button>
  );
}

/** What an answer cost, in words. */
export function sayCost({ promptTokens, cachedTokens, imageTokens, answerTokens, firstMs, restMs }: Cost): string {
  const notes = [
    ...(imageTokens > 0 ? [`${imageTokens} of pictures`] : []),
    ...(cachedTokens > 0 ? [`${cachedTokens} known`] : []),
  ];
  const speed = answerTokens > 1 && restMs > 0 ? ` at ${((answerTokens - 1) / (restMs / 1000)).toFixed(1)}/s` : "";
  return [
    `${promptTokens} tokens in${notes.length > 0 ? ` (${notes.join(", ")})` : ""}`,
    `${answerTokens} out${speed}`,
    `first word after ${(firstMs / 1000).toFixed(1)} s`,
  ].join(" · ");
}
