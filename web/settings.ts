// How answers are drawn and the page looks, kept in the browser; what was stored is checked before it is believed.
import { z } from "zod/mini";

const bounded = (low: number, high: number, fallback: number) =>
  z.catch(z.number().check(z.minimum(low), z.maximum(high)), fallback);
const whole = (low: number) => z.catch(z.nullable(z.int().check(z.minimum(low))), null);

export const settingsSchema = z.object({
  /** the model that answers; one that is gone gives way to the first there is */
  model: z.catch(z.string(), ""),
  temperature: bounded(0, 2, 0),
  topP: bounded(0.01, 1, 1),
  /** null: all tokens */
  topK: whole(1),
  minP: bounded(0, 1, 0),
  repetitionPenalty: bounded(1, 10, 1),
  /** null: another one each time */
  seed: whole(0),
  maxTokens: z.catch(z.int().check(z.minimum(1), z.maximum(100_000)), 512),
  system: z.catch(z.string(), ""),
  theme: z.catch(z.enum(["auto", "light", "dark"]), "auto"),
});

export type Settings = z.infer<typeof settingsSchema>;

export const defaultSettings: Settings = settingsSchema.parse({});

const storedAs = "llava.settings";

export function loadSettings(): Settings {
  try {
    return settingsSchema.parse(JSON.parse(localStorage.getItem(storedAs) ?? "{}"));
  } catch {
    return defaultSettings;
  }
}

export function saveSettings(settings: Settings): void {
  localStorage.setItem(storedAs, JSON.stringify(settings));
}

const keyStoredAs = "llava.key";

/** The API key lives as long as the tab, no longer. */
export const loadKey = (): string => sessionStorage.getItem(keyStoredAs) ?? "";
export const saveKey = (key: string): void => sessionStorage.setItem(keyStoredAs, key);
