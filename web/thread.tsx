// The turns of the branch that is shown, or a welcome where there are none.
import { useLayoutEffect, useRef } from "react";
import { AnswerView } from "./answer.tsx";
import { pathTo } from "./conversation.ts";
import { QuestionView } from "./question.tsx";
import { useChat, useChatState } from "./use-chat.ts";
import type { Draft } from "./use-draft.ts";

export function Thread({ draft }: { readonly draft: Draft }) {
  const { conversation } = useChatState();
  const turns = pathTo(conversation, conversation.leaf);
  const scroll = useFollow(conversation.id, turns.at(-1)?.id);
  return (
    <main className="thread" ref={scroll} tabIndex={-1}>
      {turns.length === 0 ? (
        <Welcome draft={draft} />
      ) : (
        <div className="turns">
          <h2 className="listen">{conversation.title}</h2>
          {turns.map((turn) =>
            turn.role === "user" ? (
              <QuestionView key={turn.id} turn={turn} />
            ) : (
              <AnswerView key={turn.id} turn={turn} />
            ),
          )}
        </div>
      )}
    </main>
  );
}

/** Follows words as they come, unless the reader has scrolled away from the end. */
function useFollow(conversation: string, last: string | undefined) {
  const element = useRef<HTMLElement>(null);
  const follows = useRef(true);
  useLayoutEffect(() => {
    const thread = element.current!;
    const onScroll = (): void => {
      follows.current = thread.scrollHeight - thread.scrollTop - thread.clientHeight < 80;
    };
    thread.addEventListener("scroll", onScroll, { passive: true });
    return () => thread.removeEventListener("scroll", onScroll);
  }, []);
  useLayoutEffect(() => {
    follows.current = true;
  }, [conversation, last]);
  useLayoutEffect(() => {
    if (follows.current) element.current!.scrollTop = element.current!.scrollHeight;
  });
  return element;
}

const examples = [
  "What is in this picture?",
  "Describe the picture in detail.",
  "What colours stand out?",
  "How many things can you count?",
];

function Welcome({ draft }: { readonly draft: Draft }) {
  const chat = useChat();
  const { server } = useChatState();
  const sees = chat.model?.vision ?? true;
  const ready = server === "ready" && draft.pictures.length > 0;
  return (
    <div className="welcome">
      <h2>{sees ? "Ask about a picture" : "Ask something"}</h2>
      <p>
        {sees
          ? "Drop a picture here, paste one, choose a file or take a photo. Pictures go to this server and nowhere else."
          : "This model knows words alone: it has no vision tower."}
      </p>
      {sees && (
        <ul className="examples" aria-label="Example questions">
          {examples.map((text) => (
            <li key={text}>
              <button
                type="button"
                onClick={() => {
                  if (!ready || !draft.send(text)) draft.setText(text);
                  document.querySelector<HTMLElement>("#ask")?.focus();
                }}
              >
                {text}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
