// The chat's state in components.
import { createContext, useContext, useSyncExternalStore } from "react";
import type { Chat, ChatState } from "./chat.ts";

export const ChatContext = createContext<Chat | undefined>(undefined);

/** The chat to act on; below a `ChatContext` alone. */
export function useChat(): Chat {
  return useContext(ChatContext)!;
}

export function useChatState(): ChatState {
  const chat = useChat();
  return useSyncExternalStore(chat.subscribe, chat.snapshot);
}
