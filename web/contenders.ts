// The two that are set against each other: a model with settings of its own each, kept in the browser.
import { z } from "zod/mini";
import { defaultSettings, type Settings, settingsSchema } from "./settings.ts";
import type { Model } from "./wire.ts";

export interface Pairing {
  /** how each is asked, its model among the settings */
  readonly first: Settings;
  readonly second: Settings;
  /** names are hidden until the vote */
  readonly blind: boolean;
}

const storedAs = "llava.arena";
const pairingSchema = z.object({
  first: z.catch(settingsSchema, defaultSettings),
  second: z.catch(settingsSchema, defaultSettings),
  blind: z.catch(z.boolean(), true),
});

/** What was chosen last time. */
export function loadPairing(): Pairing {
  try {
    return pairingSchema.parse(JSON.parse(localStorage.getItem(storedAs) ?? "{}"));
  } catch {
    return pairingSchema.parse({});
  }
}

export function savePairing(pairing: Pairing): void {
  localStorage.setItem(storedAs, JSON.stringify(pairing));
}

/** The pairing with models that there are: the first two where others were chosen, or none. */
export function withModels(pairing: Pairing, models: readonly Model[]): Pairing {
  const known = (settings: Settings, otherwise: Model | undefined): Settings =>
    models.some(({ id }) => id === settings.model) ? settings : { ...settings, model: otherwise?.id ?? "" };
  return { ...pairing, first: known(pairing.first, models[0]), second: known(pairing.second, models[1] ?? models[0]) };
}

const words = {
  system: "system prompt",
  temperature: "temperature",
  topP: "top p",
  topK: "top k",
  minP: "min p",
  repetitionPenalty: "repetition penalty",
  seed: "seed",
  maxTokens: "longest answer",
} as const satisfies Partial<Record<keyof Settings, string>>;

/** Means nothing where the likeliest token is always taken. */
const onlyDrawn: ReadonlySet<string> = new Set(["topP", "topK", "minP", "seed"]);

/** The settings, in words, that set one of the two apart from the other. */
export function apartFrom(one: Settings, other: Settings): string[] {
  return Object.entries(words).flatMap(([key, word]) => {
    const [own, its] = [one[key as keyof typeof words], other[key as keyof typeof words]];
    if (own === its || (one.temperature === 0 && onlyDrawn.has(key))) return [];
    if (key === "system") return [own === "" ? "no system prompt" : "system prompt of its own"];
    return [`${word} ${own ?? "any"}`];
  });
}

/** A name for one of the two: its model, and what sets it apart from the other. */
export function nameOf(one: Settings, other: Settings): string {
  return [one.model, ...apartFrom(one, other)].join(", ");
}

/** Whether both would be asked the same in every respect. */
export function areAlike({ first, second }: Pairing): boolean {
  return first.model === second.model && apartFrom(first, second).length === 0;
}
