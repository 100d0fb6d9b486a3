// The page at /: its built files, read into memory once, so that no request can name any other file.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Env, Hono } from "hono";

interface PageFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
  readonly tag: string;
  /** its name changes with its content */
  readonly hashed: boolean;
}

/** The page's files by the paths they are asked for. */
export type Page = ReadonlyMap<string, PageFile>;

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Nothing but its own files runs, nothing is fetched from elsewhere, and no text becomes markup by accident. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const headers = {
  "content-security-policy": policy,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(self), microphone=(), geolocation=()",
  "referrer-policy": "no-referrer",
};

/** Reads the built page; empty where it was not built (`npm run build` does). */
export function readPage(folder: string = builtFolder()): Page {
  if (!existsSync(join(folder, "index.html"))) return new Map();
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const page = new Map<string, PageFile>();
  for (const { parentPath, name } of files) {
    const type = types[extname(name)];
    if (type === undefined) continue;
    const path = `/${relative(folder, join(parentPath, name)).split(sep).join("/")}`;
    const bytes = new Uint8Array(readFileSync(join(parentPath, name)));
    const tag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
    page.set(path === "/index.html" ? "/" : path, { bytes, type, tag, hashed: path.startsWith("/assets/") });
  }
  return page;
}

/** TypeScript sources lie beside dist/, which holds the page in both cases. */
function builtFolder(): string {
  const folder = import.meta.url.endsWith(".ts") ? "../../dist/web" : "../web";
  return fileURLToPath(new URL(folder, import.meta.url));
}

/** Adds the page's routes. */
export function addPage<E extends Env>(app: Hono<E>, page: Page): void {
  for (const [path, { bytes, type, tag, hashed }] of page) {
    const sent = {
      ...headers,
      "content-type": type,
      "cache-control": hashed ? "public, max-age=31536000, immutable" : "no-cache",
      etag: tag,
    };
    app.get(path, (c) => {
      if (c.req.header("if-none-match") === tag) return c.body(null, 304, sent);
      return c.body(bytes, 200, sent);
    });
  }
}
