// Starts the page.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { Arena } from "./arena.ts";
import { Chat } from "./chat.ts";

const chat = new Chat();
const arena = new Arena(chat);
void chat.start();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App chat={chat} arena={arena} />
  </StrictMode>,
);
