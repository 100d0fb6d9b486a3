// Which of a turn's versions is shown, and the way to the others.
import { siblings, type Turn } from "./conversation.ts";
import { Icon } from "./icons.tsx";
import { useChat, useChatState } from "./use-chat.ts";

export function Branches({ turn }: { readonly turn: Turn }) {
  const chat = useChat();
  const { conversation } = useChatState();
  const versions = siblings(conversation, turn);
  if (versions.length < 2) return null;
  const at = versions.findIndex(({ id }) => id === turn.id);
  const what = turn.role === "user" ? "question" : "answer";
  const step = (by: number, name: "back" | "forth", label: string) => (
    <button
      type="button"
      className="plain small"
      disabled={versions[at + by] === undefined}
      onClick={() => chat.show(versions[at + by]!.id)}
      aria-label={`${label} ${what}`}
    >
      <Icon name={name} />
    </button>
  );
  return (
    <span className="branches" role="group" aria-label={`Versions of this ${what}`}>
      {step(-1, "back", "Earlier")}
      <span>
        {at + 1}/{versions.length}
      </span>
      {step(1, "forth", "Later")}
    </span>
  );
}
