// The page's frame: conversations at the side, the one that is shown, what is asked below; dropped pictures land anywhere.
import { useEffect, useState } from "react";
import type { Arena } from "./arena.ts";
import { ArenaView } from "./arena-view.tsx";
import type { Chat } from "./chat.ts";
import { Composer } from "./composer.tsx";
import { Header } from "./header.tsx";
import { KeyDialog } from "./key-dialog.tsx";
import { SettingsDialog } from "./settings-dialog.tsx";
import { Sidebar } from "./sidebar.tsx";
import { Thread } from "./thread.tsx";
import { Problem, Said } from "./notices.tsx";
import { ArenaContext } from "./use-arena.ts";
import { ChatContext, useChat, useChatState } from "./use-chat.ts";
import { type Draft, useDraft } from "./use-draft.ts";

interface AppProps {
  readonly chat: Chat;
  readonly arena: Arena;
}

export function App({ chat, arena }: AppProps) {
  return (
    <ChatContext value={chat}>
      <ArenaContext value={arena}>
        <Frame chat={chat} arena={arena} />
      </ArenaContext>
    </ChatContext>
  );
}

function Frame({ chat, arena }: AppProps) {
  const { server, settings, arena: comparing } = useChatState();
  const [menu, setMenu] = useMenu();
  const [choosing, setChoosing] = useState(false);
  const [draft, question] = [useDraft(chat), useDraft(arena)];
  useTheme(settings.theme);
  useStopKey(comparing ? arena : chat);
  const dropping = useDrop(comparing ? question : draft);
  return (
    <div className="frame" data-dropping={dropping || undefined}>
      <Sidebar open={menu} onClose={() => setMenu(false)} />
      <div className="column" inert={menu}>
        <Header onMenu={() => setMenu(true)} onSettings={() => setChoosing(true)} />
        {comparing ? <ArenaView draft={question} /> : <ChatView draft={draft} />}
      </div>
      {choosing && <SettingsDialog onClose={() => setChoosing(false)} />}
      {server === "locked" && <KeyDialog />}
    </div>
  );
}

/** The conversation that is shown, and what is asked in it. */
function ChatView({ draft }: { readonly draft: Draft }) {
  const chat = useChat();
  const { server, streaming, said, problem } = useChatState();
  return (
    <>
      <Thread draft={draft} />
      <Problem text={problem} />
      <Composer
        draft={draft}
        sees={chat.model?.vision ?? true}
        ready={server === "ready"}
        busy={streaming !== undefined}
        onStop={() => chat.stop()}
      />
      <Said text={said} />
    </>
  );
}

/** Whether a phone shows the conversations; a window that grows shows them anyway. */
function useMenu() {
  const menu = useState(false);
  const [open, setOpen] = menu;
  useEffect(() => {
    if (!open) return;
    const wide = matchMedia("(min-width: 761px)");
    const onChange = (): void => setOpen(false);
    wide.addEventListener("change", onChange);
    return () => {
      wide.removeEventListener("change", onChange);
      // back to where it was opened from
      setTimeout(() => document.querySelector<HTMLElement>("#menu")?.focus());
    };
  }, [open, setOpen]);
  return menu;
}

function useTheme(theme: string): void {
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
  }, [theme]);
}

/** Escape ends answers, unless it closes something first. */
function useStopKey(asked: Chat | Arena): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && !event.defaultPrevented && document.querySelector("dialog[open]") === null)
        asked.stop();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [asked]);
}

/** Takes pictures that are dropped anywhere; true while some are held above the page. */
function useDrop({ addFiles }: Draft): boolean {
  const [above, setAbove] = useState(false);
  useEffect(() => {
    const holds = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") === true;
    const onOver = (event: DragEvent): void => {
      if (!holds(event)) return;
      event.preventDefault();
      setAbove(true);
    };
    const onLeave = (event: DragEvent): void => {
      if (event.relatedTarget === null) setAbove(false);
    };
    const onDrop = (event: DragEvent): void => {
      if (!holds(event)) return;
      event.preventDefault();
      setAbove(false);
      addFiles(event.dataTransfer);
    };
    addEventListener("dragover", onOver);
    addEventListener("dragleave", onLeave);
    addEventListener("drop", onDrop);
    return () => {
      removeEventListener("dragover", onOver);
      removeEventListener("dragleave", onLeave);
      removeEventListener("drop", onDrop);
    };
  }, [addFiles]);
  return above;
}
