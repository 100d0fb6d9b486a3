// How answers are drawn, and how the page looks.
import { type ReactNode, useState } from "react";
import { Dialog } from "./dialog.tsx";
import { defaultSettings, type Settings } from "./settings.ts";
import { useChat, useChatState } from "./use-chat.ts";

export function SettingsDialog({ onClose }: { readonly onClose: () => void }) {
  const chat = useChat();
  const { settings } = useChatState();
  const change = (changes: Partial<Settings>): void => chat.change(changes);
  return (
    <Dialog title="Settings" onClose={onClose}>
      <AnswerSettings settings={settings} change={change} onClose={onClose}>
        <div className="field">
          <label htmlFor="theme">Theme</label>
          <select
            id="theme"
            value={settings.theme}
            onChange={(event) => change({ theme: event.target.value as Settings["theme"] })}
          >
            <option value="auto">as the system has it</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </div>
        <p className="quiet">Enter asks, Shift+Enter begins a line, Escape stops an answer.</p>
      </AnswerSettings>
    </Dialog>
  );
}

interface AnswerSettingsProps extends SamplingProps {
  readonly onClose: () => void;
  readonly children?: ReactNode;
}

/** How answers are drawn, with a way to set it all back. */
export function AnswerSettings({ settings, change, onClose, children }: AnswerSettingsProps) {
  // fields begin anew when all is set back
  const [round, setRound] = useState(0);
  const setBack = (): void => {
    change({ ...defaultSettings, model: settings.model, theme: settings.theme });
    setRound(round + 1);
  };
  return (
    <>
      <label>
        System prompt
        <textarea rows={2} value={settings.system} onChange={(event) => change({ system: event.target.value })} />
      </label>
      <Sampling key={round} settings={settings} change={change} />
      {children}
      <div className="row">
        <button type="button" className="main" onClick={onClose}>
          Done
        </button>
        <button type="button" onClick={setBack}>
          Set back
        </button>
      </div>
    </>
  );
}

interface SamplingProps {
  readonly settings: Settings;
  readonly change: (changes: Partial<Settings>) => void;
}

function Sampling({ settings, change }: SamplingProps) {
  const { temperature, maxTokens, repetitionPenalty } = settings;
  const greedy = temperature === 0;
  return (
    <fieldset>
      <legend>Sampling</legend>
      <label>
        Temperature: {greedy ? "0, always the likeliest" : temperature}
        <input
          type="range"
          min={0}
          max={2}
          step={0.05}
          value={temperature}
          onChange={(event) => change({ temperature: event.target.valueAsNumber })}
        />
      </label>
      <div className="fields">
        <NumberField
          label="Longest answer"
          low={1}
          value={maxTokens}
          onValue={(value) => change({ maxTokens: value ?? defaultSettings.maxTokens })}
        />
        <NumberField
          label="Repetition penalty"
          low={1}
          high={10}
          step={0.05}
          value={repetitionPenalty}
          onValue={(value) => change({ repetitionPenalty: value ?? 1 })}
        />
        <Drawing settings={settings} change={change} />
      </div>
    </fieldset>
  );
}

/** What matters only where tokens are drawn. */
function Drawing({ settings: { temperature, topP, topK, minP, seed }, change }: SamplingProps) {
  const off = temperature === 0;
  const set = (name: "topP" | "minP", fallback: number) => (value: number | null) =>
    change({ [name]: value ?? fallback });
  const share = { high: 1, step: 0.01, off };
  return (
    <>
      <NumberField label="Top p" low={0.01} {...share} value={topP} onValue={set("topP", 1)} />
      <NumberField label="Min p" low={0} {...share} value={minP} onValue={set("minP", 0)} />
      <NumberField label="Top k" low={1} off={off} value={topK} onValue={(value) => change({ topK: value })} />
      <NumberField label="Seed" low={0} off={off} value={seed} onValue={(value) => change({ seed: value })} />
    </>
  );
}

interface NumberProps {
  readonly label: string;
  readonly low: number;
  readonly high?: number;
  readonly step?: number;
  /** as it is when the field appears */
  readonly value: number | null;
  readonly off?: boolean;
  /** told of what is right; null: the field is empty */
  readonly onValue: (value: number | null) => void;
}

function NumberField({ label, low, high, step = 1, value, off = false, onValue }: NumberProps) {
  return (
    <label>
      {label}
      <input
        type="number"
        min={low}
        max={high}
        step={step}
        defaultValue={value ?? ""}
        placeholder="any"
        disabled={off}
        onChange={({ target }) => target.validity.valid && onValue(target.value === "" ? null : target.valueAsNumber)}
      />
    </label>
  );
}
