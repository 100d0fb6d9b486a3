// Where questions are written: text, pictures from files, clipboard and camera; Enter asks.
import { useRef, useState } from "react";
import { Camera } from "./camera.tsx";
import { Icon } from "./icons.tsx";
import type { Draft } from "./use-draft.ts";

export interface ComposerProps {
  readonly draft: Draft;
  /** who is asked can see */
  readonly sees: boolean;
  /** the server can be asked */
  readonly ready: boolean;
  /** an answer is under way */
  readonly busy: boolean;
  readonly onStop: () => void;
}

export function Composer({ draft, sees, ready, busy, onStop }: ComposerProps) {
  return (
    <form
      className="composer"
      aria-label="Ask"
      onSubmit={(event) => {
        event.preventDefault();
        draft.send();
      }}
      onPaste={(event) => {
        if (draft.addFiles(event.clipboardData)) event.preventDefault();
      }}
    >
      {draft.pictures.length > 0 && <Pictures draft={draft} />}
      <textarea
        id="ask"
        aria-label="Question"
        placeholder={sees ? "Ask about a picture" : "Ask something"}
        rows={1}
        value={draft.text}
        autoFocus
        onChange={(event) => draft.setText(event.target.value)}
        onKeyDown={(event) => {
          // Enter also ends the composing of a character
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          draft.send();
        }}
      />
      <div className="row">
        {sees && <PictureButtons draft={draft} />}
        <span className="gap" />
        <AskButton
          ready={ready && (draft.text.trim() !== "" || draft.pictures.length > 0)}
          busy={busy}
          onStop={onStop}
        />
      </div>
    </form>
  );
}

function AskButton({ ready, busy, onStop }: Pick<ComposerProps, "ready" | "busy" | "onStop">) {
  if (!busy) {
    return (
      <button type="submit" className="main round" disabled={!ready} aria-label="Ask">
        <Icon name="send" />
      </button>
    );
  }
  return (
    <button type="button" className="main round" onClick={onStop} aria-label="Stop">
      <Icon name="stop" />
    </button>
  );
}

function Pictures({ draft }: { readonly draft: Draft }) {
  return (
    <ul className="pictures" aria-label="Pictures to ask about">
      {draft.pictures.map((picture, i) => (
        <li key={`${i} ${picture.name}`}>
          <img src={picture.url} alt={picture.name} />
          <button type="button" onClick={() => draft.remove(picture)} aria-label={`Remove ${picture.name}`}>
            <Icon name="close" />
          </button>
        </li>
      ))}
    </ul>
  );
}

function PictureButtons({ draft }: { readonly draft: Draft }) {
  const file = useRef<HTMLInputElement>(null);
  const capture = useRef<HTMLInputElement>(null);
  const [camera, setCamera] = useState(false);
  const take = (input: HTMLInputElement): void => {
    draft.addFiles([...(input.files ?? [])]);
    input.value = "";
  };
  return (
    <>
      <button type="button" className="plain" onClick={() => file.current!.click()} aria-label="Choose pictures">
        <Icon name="picture" />
      </button>
      <button
        type="button"
        className="plain"
        // browsers give the camera itself to secure pages alone; elsewhere phones offer it for a file
        onClick={() => (isSecureContext && "mediaDevices" in navigator ? setCamera(true) : capture.current!.click())}
        aria-label="Take a picture"
      >
        <Icon name="camera" />
      </button>
      <input
        ref={file}
        type="file"
        accept="image/*"
        multiple
        hidden
        aria-label="Pictures"
        onChange={(event) => take(event.target)}
      />
      <input
        ref={capture}
        type="file"
        accept="image/*"
        capture="environment"
        hidden
        aria-label="Camera"
        onChange={(event) => take(event.target)}
      />
      {camera && <Camera onPicture={draft.add} onClose={() => setCamera(false)} />}
    </>
  );
}
