// Asks for an API key where the server wants one; the tab forgets it when it is closed.
import { useState } from "react";
import { loadKey } from "./settings.ts";
import { useChat } from "./use-chat.ts";
import { Dialog } from "./dialog.tsx";

export function KeyDialog() {
  const chat = useChat();
  const [key, setKey] = useState("");
  const [asked, setAsked] = useState(loadKey() !== "");
  return (
    <Dialog title="This server wants an API key" onClose={() => undefined}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void chat.connect(key.trim()).then(() => setAsked(true));
        }}
      >
        <label>
          API key
          <input type="password" autoComplete="off" value={key} onChange={(event) => setKey(event.target.value)} />
        </label>
        {asked && (
          <p className="problem" role="alert">
            The server does not know this key.
          </p>
        )}
        <p className="quiet">It is kept until this tab is closed, and sent to this server alone.</p>
        <button type="submit" className="main" disabled={key.trim() === ""}>
          Go on
        </button>
      </form>
    </Dialog>
  );
}
