// The arena's state in components.
import { createContext, useContext, useSyncExternalStore } from "react";
import type { Arena, ArenaState } from "./arena.ts";

export const ArenaContext = createContext<Arena | undefined>(undefined);

/** The arena to act on; below an `ArenaContext` alone. */
export function useArena(): Arena {
  return useContext(ArenaContext)!;
}

export function useArenaState(): ArenaState {
  const arena = useArena();
  return useSyncExternalStore(arena.subscribe, arena.snapshot);
}
