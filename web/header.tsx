// The page's head: which model answers, a new conversation, settings.
import { Icon } from "./icons.tsx";
import { useChat, useChatState } from "./use-chat.ts";

export function Header({ onMenu, onSettings }: { readonly onMenu: () => void; readonly onSettings: () => void }) {
  const chat = useChat();
  const { arena } = useChatState();
  return (
    <header className="head">
      <button id="menu" type="button" className="plain only-narrow" onClick={onMenu} aria-label="Conversations">
        <Icon name="menu" />
      </button>
      <h1 className="brand">llava</h1>
      {arena ? <span className="model">arena</span> : <ModelChoice />}
      <span className="gap" />
      <button type="button" className="plain only-narrow" onClick={() => chat.begin()} aria-label="New conversation">
        <Icon name="plus" />
      </button>
      {!arena && (
        <button type="button" className="plain" onClick={onSettings} aria-label="Settings">
          <Icon name="settings" />
        </button>
      )}
    </header>
  );
}

function ModelChoice() {
  const chat = useChat();
  const { models, server } = useChatState();
  const model = chat.model;
  return (
    <>
      {models.length > 1 ? (
        <select
          className="model"
          aria-label="Model"
          value={model?.id}
          onChange={(event) => chat.change({ model: event.target.value })}
        >
          {models.map(({ id }) => (
            <option key={id}>{id}</option>
          ))}
        </select>
      ) : (
        <span className="model">{model?.id ?? (server === "connecting" ? "…" : "no server")}</span>
      )}
      {model !== undefined && !model.vision && <span className="tag">words only</span>}
    </>
  );
}
