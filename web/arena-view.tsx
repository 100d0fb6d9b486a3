// The arena: who is asked, one question, two answers side by side, and which of them is better.
import { useState } from "react";
import { apartFrom, areAlike, type Pairing } from "./contenders.ts";
import { isRunning } from "./arena.ts";
import { Composer } from "./composer.tsx";
import { Dialog } from "./dialog.tsx";
import { Icon } from "./icons.tsx";
import { NoVotes, Problem, Said } from "./notices.tsx";
import { RoundView } from "./round.tsx";
import { AnswerSettings } from "./settings-dialog.tsx";
import { useArena, useArenaState } from "./use-arena.ts";
import { useChatState } from "./use-chat.ts";
import type { Draft } from "./use-draft.ts";

export function ArenaView({ draft }: { readonly draft: Draft }) {
  const arena = useArena();
  const { round, said, problem } = useArenaState();
  const { server, models, problem: general } = useChatState();
  const { first, second } = arena.pairing;
  const sees = models.some(({ id, vision }) => vision && (id === first.model || id === second.model));
  return (
    <>
      <main className="thread" tabIndex={-1}>
        <div className="arena">
          <h2 className="listen">Arena</h2>
          <Contenders />
          {round === undefined ? <Welcome /> : <RoundView key={round.id} round={round} draft={draft} />}
        </div>
      </main>
      <Problem text={problem || general} />
      <Composer
        draft={draft}
        sees={sees || models.length === 0}
        ready={server === "ready"}
        busy={isRunning(round)}
        onStop={() => arena.stop()}
      />
      <Said text={said} />
    </>
  );
}

function Welcome() {
  const { votes, server } = useChatState();
  return (
    <div className="welcome">
      <h2>Which answers better?</h2>
      <p>
        Both get the same question and the same picture. In a blind round you do not know who answers at the left and
        who at the right until you have voted.
      </p>
      {server === "ready" && !votes && <NoVotes />}
    </div>
  );
}

/** Who is asked next, and whether the names are hidden. */
function Contenders() {
  const arena = useArena();
  // for the pairing's own changes
  useArenaState();
  const pairing = arena.pairing;
  return (
    <section className="contenders" aria-label="Who is asked">
      <Contender which="first" label="First" pairing={pairing} />
      <span className="quiet" aria-hidden="true">
        and
      </span>
      <Contender which="second" label="Second" pairing={pairing} />
      <label className="inline">
        <input
          type="checkbox"
          checked={pairing.blind}
          onChange={(event) => arena.change({ blind: event.target.checked })}
        />
        blind
      </label>
      {pairing.first.model !== "" && areAlike(pairing) && (
        <p className="quiet">Both are the same: choose another model, or other settings for one of them.</p>
      )}
    </section>
  );
}

interface ContenderProps {
  readonly which: "first" | "second";
  readonly label: string;
  readonly pairing: Pairing;
}

function Contender({ which, label, pairing }: ContenderProps) {
  const arena = useArena();
  const { models } = useChatState();
  const [choosing, setChoosing] = useState(false);
  const settings = pairing[which];
  const apart = apartFrom(settings, pairing[which === "first" ? "second" : "first"]).join(", ");
  return (
    <div className="contender">
      <select
        className="model"
        aria-label={`${label} model`}
        value={settings.model}
        onChange={(event) => arena.change({ [which]: { ...settings, model: event.target.value } })}
      >
        {models.map(({ id }) => (
          <option key={id}>{id}</option>
        ))}
      </select>
      <button
        type="button"
        className="plain"
        onClick={() => setChoosing(true)}
        aria-label={`Settings of the ${which} model`}
      >
        <Icon name="settings" />
      </button>
      {apart !== "" && <span className="quiet apart">{apart}</span>}
      {choosing && (
        <Dialog title={`Settings of the ${which} model`} onClose={() => setChoosing(false)}>
          <AnswerSettings
            settings={settings}
            change={(changes) => arena.change({ [which]: { ...settings, ...changes } })}
            onClose={() => setChoosing(false)}
          />
        </Dialog>
      )}
    </div>
  );
}
