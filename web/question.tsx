// A question with its pictures; it can be asked differently, which makes a branch.
import { memo, useState } from "react";
import { Branches } from "./branch.tsx";
import type { Question } from "./conversation.ts";
import { Icon } from "./icons.tsx";
import { useChat, useChatState } from "./use-chat.ts";

export const QuestionView = memo(function QuestionView({ turn }: { readonly turn: Question }) {
  const [editing, setEditing] = useState(false);
  const { streaming } = useChatState();
  return (
    <article className="question" aria-label="You">
      {editing ? (
        <>
          <Pictures turn={turn} />
          <Edit turn={turn} onDone={() => setEditing(false)} />
        </>
      ) : (
        <Asked turn={turn} />
      )}
      <div className="tools">
        <Branches turn={turn} />
        {!editing && (
          <button
            type="button"
            className="plain small"
            disabled={streaming !== undefined}
            onClick={() => setEditing(true)}
            aria-label="Ask differently"
          >
            <Icon name="edit" />
          </button>
        )}
      </div>
    </article>
  );
});

/** A question's pictures and words. */
export function Asked({ turn }: { readonly turn: Question }) {
  return (
    <>
      <Pictures turn={turn} />
      {turn.text !== "" && <p className="asked">{turn.text}</p>}
    </>
  );
}

function Pictures({ turn: { pictures } }: { readonly turn: Question }) {
  if (pictures.length === 0) return null;
  return (
    <div className="shown">
      {pictures.map(({ url, name, width, height }, i) => (
        <a key={`${i} ${name}`} href={url} download={name} title={`${name}, ${width} × ${height}: save`}>
          <img src={url} alt={name} width={width} height={height} />
        </a>
      ))}
    </div>
  );
}

function Edit({ turn, onDone }: { readonly turn: Question; readonly onDone: () => void }) {
  const chat = useChat();
  const [text, setText] = useState(turn.text);
  return (
    <form
      className="edit"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === "" && turn.pictures.length === 0) return;
        chat.askInstead(turn, text.trim());
        onDone();
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        onDone();
      }}
    >
      <textarea
        aria-label="Question"
        value={text}
        rows={3}
        autoFocus
        onChange={(event) => setText(event.target.value)}
      />
      <div className="row">
        <button type="submit" className="main">
          Ask
        </button>
        <button type="button" onClick={onDone}>
          Cancel
        </button>
      </div>
    </form>
  );
}
