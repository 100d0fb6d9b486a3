// The page's frame: conversations at the side, the one that is shown, what is asked below; dropped pictures land anywhere.
import { useEffect, useState } from "react";
import type { Chat } from "./chat.ts";
import { Composer } from "./composer.tsx";
import { Header } from "./header.tsx";
import { KeyDialog } from "./key-dialog.tsx";
import { SettingsDialog } from "./settings-dialog.tsx";
import { Sidebar } from "./sidebar.tsx";
import { Thread } from "./thread.tsx";
import { ChatContext, useChatState } from "./use-chat.ts";
import { type Draft, useDraft } from "./use-draft.ts";

export function App({ chat }: { readonly chat: Chat }) {
  return (
    <ChatContext value={chat}>
      <Frame chat={chat} />
    </ChatContext>
  );
}

function Frame({ chat }: { readonly chat: Chat }) {
  const { server, settings, said, problem } = useChatState();
  const [menu, setMenu] = useMenu();
  const [choosing, setChoosing] = useState(false);
  const draft = useDraft(chat);
  useTheme(settings.theme);
  useStopKey(chat);
  const dropping = useDrop(draft);
  return (
    <div className="frame" data-dropping={dropping || undefined}>
      <Sidebar open={menu} onClose={() => setMenu(false)} />
      <div className="column" inert={menu}>
        <Header onMenu={() => setMenu(true)} onSettings={() => setChoosing(true)} />
        <Thread draft={draft} />
        {problem !== "" && (
          <p className="problem" role="alert">
            {problem}{" "}
            {server === "away" && (
              <button type="button" className="link" onClick={() => void chat.connect()}>
                Try again
              </button>
            )}
          </p>
        )}
        <Composer draft={draft} />
      </div>
      {choosing && <SettingsDialog onClose={() => setChoosing(false)} />}
      {server === "locked" && <KeyDialog />}
      <p className="listen" role="status">
        {said}
      </p>
    </div>
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

/** Escape ends an answer, unless it closes something first. */
function useStopKey(chat: Chat): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && !event.defaultPrevented && document.querySelector("dialog[open]") === null)
        chat.stop();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [chat]);
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
