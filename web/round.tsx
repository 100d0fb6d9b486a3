// One round of the arena: the question, two answers side by side, the vote, and what it tells.
import { useState } from "react";
import { AnswerEnd, CopyButton, LookButton, sayCost } from "./answer.tsx";
import { isRunning, isWhole, type Round, type Side, sides } from "./arena.ts";
import { AttentionView } from "./attention-view.tsx";
import { nameOf } from "./contenders.ts";
import { Icon } from "./icons.tsx";
import { SafeMarkdown } from "./markdown.tsx";
import { NoVotes } from "./notices.tsx";
import { Asked } from "./question.tsx";
import { useArena } from "./use-arena.ts";
import { useChatState } from "./use-chat.ts";
import type { Draft } from "./use-draft.ts";
import { VoteButtons } from "./vote-buttons.tsx";

interface RoundProps {
  readonly round: Round;
  readonly draft: Draft;
}

export function RoundView({ round, draft }: RoundProps) {
  const { votes } = useChatState();
  const open = !isRunning(round) && round.vote === undefined;
  return (
    <>
      <article className="question" aria-label="You">
        <Asked turn={round.question} />
      </article>
      <div className="panes">
        {sides.map((side) => (
          <Pane key={side} round={round} side={side} />
        ))}
      </div>
      {open && isWhole(round) && votes && <VoteButtons round={round} />}
      {!isRunning(round) && <After round={round} draft={draft} />}
    </>
  );
}

function Pane({ round, side }: { readonly round: Round; readonly side: Side }) {
  const [looking, setLooking] = useState(false);
  const { settings, answer } = round[side];
  const other = round[side === "a" ? "b" : "a"].settings;
  const letter = side.toUpperCase();
  const coming = answer.state === "streaming";
  return (
    <article
      className="pane answer"
      aria-label={`Answer ${letter}`}
      aria-busy={coming}
      data-best={round.vote === side || undefined}
    >
      <h3>
        {letter}
        {round.shown && <span className="model">{nameOf(settings, other)}</span>}
        {round.vote === side && <span className="tag">your vote</span>}
      </h3>
      {looking ? (
        <AttentionView
          turn={answer}
          turns={[round.question, answer]}
          settings={settings}
          onClose={() => setLooking(false)}
        />
      ) : (
        <SafeMarkdown text={answer.text} />
      )}
      <AnswerEnd turn={answer} />
      {!coming && round.shown && (
        <PaneTools round={round} side={side} looking={looking} onLook={() => setLooking(!looking)} />
      )}
    </article>
  );
}

interface ToolsProps {
  readonly round: Round;
  readonly side: Side;
  readonly looking: boolean;
  readonly onLook: () => void;
}

/** What would tell who answered, or change what is judged, waits for the names. */
function PaneTools({ round, side, looking, onLook }: ToolsProps) {
  const arena = useArena();
  const { answer } = round[side];
  if (answer.text === "") return null;
  return (
    <div className="tools">
      <CopyButton text={answer.text} />
      {round.question.pictures.length > 0 && <LookButton looking={looking} onLook={onLook} />}
      <button type="button" className="plain small" onClick={() => void arena.goOn(side)}>
        <Icon name="forth" /> Go on with {side.toUpperCase()}
      </button>
      {answer.cost && <span className="cost">{sayCost(answer.cost)}</span>}
    </div>
  );
}

const outcomes = {
  a: "A is better.",
  b: "B is better.",
  tie: "They are alike.",
  both_bad: "Neither is any good.",
} as const;

/** What the vote was, and how to go on. */
function After({ round, draft }: RoundProps) {
  const arena = useArena();
  const { votes } = useChatState();
  const { pictures } = round.question;
  const fetchPictures = (): void => {
    for (const picture of pictures) if (!draft.pictures.includes(picture)) draft.add(picture);
    document.querySelector<HTMLElement>("#ask")?.focus();
  };
  return (
    <div className="after">
      {round.vote !== undefined && <p className="quiet">Your vote: {outcomes[round.vote]}</p>}
      {round.vote === undefined && isWhole(round) && !votes && <NoVotes />}
      <div className="row">
        {!round.shown && (
          <button type="button" className="small" onClick={() => void arena.reveal()}>
            <Icon name="eye" /> Show the names without a vote
          </button>
        )}
        <button type="button" className="small" onClick={() => arena.again()}>
          <Icon name="again" /> Ask both again
        </button>
        {pictures.length > 0 && (
          <button type="button" className="small" onClick={fetchPictures}>
            <Icon name="picture" /> Ask about the same {pictures.length === 1 ? "picture" : "pictures"}
          </button>
        )}
      </div>
    </div>
  );
}
