// The conversations that this browser keeps: open, delete, export, import.
import { useEffect, useRef } from "react";
import { arenaName } from "./chat.ts";
import { Icon } from "./icons.tsx";
import { useChat, useChatState } from "./use-chat.ts";

export function Sidebar({ open, onClose }: { readonly open: boolean; readonly onClose: () => void }) {
  const chat = useChat();
  const begin = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (open) begin.current!.focus();
  }, [open]);
  return (
    <>
      {open && <div className="veil" onClick={onClose} aria-hidden="true" />}
      <nav
        className="side"
        aria-label="Conversations"
        data-open={open || undefined}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || !open) return;
          event.preventDefault();
          onClose();
        }}
      >
        <div className="side-head">
          <button
            ref={begin}
            type="button"
            className="new"
            onClick={() => {
              chat.begin();
              onClose();
            }}
          >
            <Icon name="plus" /> New conversation
          </button>
          <button type="button" className="plain only-narrow" onClick={onClose} aria-label="Close">
            <Icon name="close" />
          </button>
        </div>
        <ArenaLink onOpen={onClose} />
        <List onOpen={onClose} />
        <Transfer />
      </nav>
    </>
  );
}

function ArenaLink({ onOpen }: { readonly onOpen: () => void }) {
  const { arena } = useChatState();
  return (
    <a className="to-arena" href={`#${arenaName}`} aria-current={arena ? "page" : undefined} onClick={onOpen}>
      <Icon name="arena" /> Arena
    </a>
  );
}

function List({ onOpen }: { readonly onOpen: () => void }) {
  const { list, conversation, arena } = useChatState();
  const shown = arena ? undefined : conversation.id;
  return (
    <>
      {list.length === 0 && <p className="quiet">What you ask is kept in this browser alone.</p>}
      <ul className="list">
        {list.map(({ id, title }) => (
          <li key={id}>
            <a href={`#${id}`} aria-current={id === shown ? "page" : undefined} onClick={onOpen}>
              {title}
            </a>
            <RemoveButton id={id} title={title} />
          </li>
        ))}
      </ul>
    </>
  );
}

function RemoveButton({ id, title }: { readonly id: string; readonly title: string }) {
  const chat = useChat();
  const onClick = (): void => {
    if (confirm(`Delete “${title}”? It cannot be brought back.`)) void chat.remove(id);
  };
  return (
    <button type="button" className="plain remove" onClick={onClick} aria-label={`Delete ${title}`}>
      <Icon name="bin" />
    </button>
  );
}

function Transfer() {
  const chat = useChat();
  const { list } = useChatState();
  const file = useRef<HTMLInputElement>(null);
  return (
    <div className="transfer">
      <button type="button" className="small" disabled={list.length === 0} onClick={() => void save(chat.exported())}>
        <Icon name="out" /> Export
      </button>
      <button type="button" className="small" onClick={() => file.current!.click()}>
        <Icon name="in" /> Import
      </button>
      <input
        ref={file}
        type="file"
        accept="application/json,.json"
        hidden
        aria-label="File of conversations"
        onChange={(event) => {
          const [chosen] = event.target.files ?? [];
          event.target.value = "";
          void chosen?.text().then((text) => chat.import(text));
        }}
      />
    </div>
  );
}

async function save(content: Promise<string>): Promise<void> {
  const url = URL.createObjectURL(new Blob([await content], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `llava-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  // the download has its own hold on it by then
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
