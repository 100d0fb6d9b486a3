// Conversations in the browser's own database.
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Conversation } from "./conversation.ts";

interface Schema extends DBSchema {
  conversations: { key: string; value: Conversation; indexes: { updated: number } };
}

/** What the list of conversations shows of one. */
export type Summary = Pick<Conversation, "id" | "title" | "updated">;

let opened: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>("llava", 1, {
    upgrade: (db) => {
      db.createObjectStore("conversations", { keyPath: "id" }).createIndex("updated", "updated");
    },
  });
  return opened;
}

/** All conversations, the last changed first. */
export async function listConversations(): Promise<Summary[]> {
  const all = await loadConversations();
  return all.map(({ id, title, updated }) => ({ id, title, updated }));
}

export async function loadConversations(): Promise<Conversation[]> {
  return (await (await database()).getAllFromIndex("conversations", "updated")).reverse();
}

export async function loadConversation(id: string): Promise<Conversation | undefined> {
  return (await database()).get("conversations", id);
}

export async function saveConversation(conversation: Conversation): Promise<void> {
  await (await database()).put("conversations", conversation);
}

export async function deleteConversation(id: string): Promise<void> {
  await (await database()).delete("conversations", id);
}
