// Starts the page.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { Chat } from "./chat.ts";

const chat = new Chat();
void chat.start();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App chat={chat} />
  </StrictMode>,
);
