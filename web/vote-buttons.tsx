// The vote: four buttons, and the keys 1 to 4 while the focus is among them.
import { useEffect, useRef } from "react";
import type { Round } from "./arena.ts";
import { useArena, useArenaState } from "./use-arena.ts";
import type { Vote } from "./wire.ts";

const choices: readonly { readonly vote: Vote; readonly label: string }[] = [
  { vote: "a", label: "A is better" },
  { vote: "tie", label: "Alike" },
  { vote: "both_bad", label: "Both are bad" },
  { vote: "b", label: "B is better" },
];

export function VoteButtons({ round }: { readonly round: Round }) {
  const arena = useArena();
  const { voting } = useArenaState();
  const group = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // whoever is writing the next question goes on writing, and nobody is taken away from what is to be read
    const at = document.activeElement;
    if (at === document.body || (at instanceof HTMLTextAreaElement && at.id === "ask" && at.value === ""))
      group.current!.focus({ preventScroll: true });
  }, [round.id]);
  const give = async (vote: Vote, byKey: boolean): Promise<void> => {
    await arena.vote(vote);
    // the buttons are gone, and the keys with them
    if (byKey && arena.snapshot().round?.vote !== undefined) document.querySelector<HTMLElement>("#ask")?.focus();
  };
  return (
    <div
      ref={group}
      className="vote"
      role="group"
      aria-label="Which answer is better? Keys 1 to 4 vote."
      tabIndex={-1}
      onKeyDown={(event) => {
        const choice = choices[Number(event.key) - 1];
        if (choice === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        void give(choice.vote, true);
      }}
    >
      {choices.map(({ vote, label }, i) => (
        <button
          key={vote}
          type="button"
          disabled={voting}
          aria-keyshortcuts={String(i + 1)}
          onClick={(event) => void give(vote, event.detail === 0)}
        >
          {label} <kbd aria-hidden="true">{i + 1}</kbd>
        </button>
      ))}
    </div>
  );
}
