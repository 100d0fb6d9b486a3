// What the page has to say besides answers: what went wrong, and what those who listen would miss.
import { useChat, useChatState } from "./use-chat.ts";

/** What went wrong that belongs to no answer; "": nothing. */
export function Problem({ text }: { readonly text: string }) {
  const chat = useChat();
  const { server } = useChatState();
  if (text === "") return null;
  return (
    <p className="problem" role="alert">
      {text}{" "}
      {server === "away" && (
        <button type="button" className="link" onClick={() => void chat.connect()}>
          Try again
        </button>
      )}
    </p>
  );
}

export function Said({ text }: { readonly text: string }) {
  return (
    <p className="listen" role="status">
      {text}
    </p>
  );
}

/** How to have votes kept. */
export function NoVotes() {
  return (
    <p className="quiet">
      This server keeps no votes: <code>llava serve … --votes votes.jsonl</code> does.
    </p>
  );
}
