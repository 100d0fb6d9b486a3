// The review page's server: this machine alone, one page, one token; nothing from outside the samples is ever served.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pictureFile } from "../data/picture-path.ts";
import { InputError, LlavaError } from "../errors.ts";
import { pictureFormat } from "../image/header.ts";
import { readPictureBytes } from "../image/node.ts";
import { readStyle } from "../pages/style-node.ts";
import { decisions } from "./decisions.ts";
import type { Filter, Review } from "./samples.ts";

export interface ReviewServer {
  readonly address: string;
  /** resolves when the page was told to end, and samples are written back */
  readonly done: Promise<void>;
  close(): Promise<void>;
}

const mostBody = 2 ** 20;
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Serves on 127.0.0.1; `port` 0 takes any that is free. */
export async function serveReview(review: Review, images: string | undefined, port = 0): Promise<ReviewServer> {
  const token = randomBytes(24).toString("base64url");
  let finished = (): void => undefined;
  const done = new Promise<void>((resolve) => (finished = resolve));
  const server: Server = createServer((request, response) => {
    handle({ request, response, review, images, token, port: (server.address() as AddressInfo).port, finished }).catch(
      (error: unknown) => refuse(response, error),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    done,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly review: Review;
  readonly images: string | undefined;
  readonly token: string;
  readonly port: number;
  finished(): void;
}

async function handle(call: Call): Promise<void> {
  const { request, response, review, token, port } = call;
  const { method, headers, url = "/" } = request;
  // another name for this machine is a page elsewhere that got itself an address here
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  if (!hosts.includes(headers.host ?? "")) return send(response, 403, "text/plain", "another host");
  const [path = "/", query = ""] = url.split("?", 2);
  if (method === "GET" && assets[path] !== undefined) return sendAsset(response, path, token);
  const [, what, place, part] = /^\/(sample|picture|undo)\/(\d{1,9})(?:\/(\d{1,3}))?$/.exec(path) ?? [];
  if (method === "GET" && what === "picture") return sendPicture(call, Number(place), Number(part ?? 0));
  if (headers["x-review"] !== token) return send(response, 403, "text/plain", "another page");
  if (method === "GET" && path === "/kinds") return sendJson(response, [...review.kinds]);
  if (method === "GET" && path === "/find") return find(call, new URLSearchParams(query));
  if (method === "GET" && what === "sample") return sendJson(response, state(review, Number(place)));
  if (method === "POST" && what === "sample") return decide(call, Number(place));
  if (method === "POST" && what === "undo") {
    await review.undo(Number(place));
    return sendJson(response, state(review, Number(place)));
  }
  if (method === "POST" && path === "/done") {
    sendJson(response, await review.finish());
    return call.finished();
  }
  send(response, 404, "text/plain", "nothing here");
}

function state(review: Review, place: number): object {
  return { ...review.show(place), count: review.count, decided: review.decided };
}

/** The nearest sample that the page's filter lets through, or null. */
function find({ response, review }: Call, query: URLSearchParams): void {
  const from = Number(query.get("from") ?? 0);
  if (!Number.isInteger(from)) {
    throw new InputError("REVIEW_PLACE", { expected: "a whole number", got: query.get("from") ?? "none" });
  }
  const filter: Filter = { kind: query.get("kind") ?? undefined, decision: wanted(query.get("decision")) };
  const place = review.find(from, query.get("step") === "-1" ? -1 : 1, filter);
  sendJson(response, place === undefined ? null : state(review, place));
}

function wanted(decision: string | null): Filter["decision"] {
  if (decision === null) return undefined;
  const known = ([...decisions, "undecided"] as const).find((each) => each === decision);
  if (known === undefined) throw unknownDecision(`${decisions.join(", ")}, undecided`, decision);
  return known;
}

async function decide({ request, response, review }: Call, place: number): Promise<void> {
  const body = await readBody(request);
  const { decision, conversations } = body as { decision?: unknown; conversations?: unknown };
  const known = decisions.find((each) => each === decision);
  if (known === undefined) throw unknownDecision(decisions.join(", "), String(decision));
  await review.decide(place, known, conversations);
  sendJson(response, state(review, place));
}

function unknownDecision(expected: string, got: string): InputError {
  return new InputError("REVIEW_DECISION", { expected, got });
}

async function readBody(request: IncomingMessage): Promise<object> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > mostBody) throw new InputError("REVIEW_BODY", { expected: `at most ${mostBody} bytes`, got: "more" });
    chunks.push(chunk);
  }
  try {
    return Object(JSON.parse(Buffer.concat(chunks).toString("utf8"))) as object;
  } catch (cause) {
    throw new InputError("REVIEW_BODY", { expected: "JSON", got: "other text", cause });
  }
}

async function sendPicture({ response, review, images }: Call, place: number, part: number): Promise<void> {
  const image = review.images(place)[part];
  if (image === undefined || images === undefined) return send(response, 404, "text/plain", "no picture");
  const bytes = await readPictureBytes(pictureFile(images, image));
  const format = pictureFormat(bytes);
  if (format === undefined) return send(response, 404, "text/plain", "no picture");
  send(response, 200, `image/${format}`, bytes);
}

const assets: Readonly<Record<string, readonly [type: string, read: () => Promise<string>]>> = {
  "/": ["text/html; charset=utf-8", () => own("page.html")],
  "/style.css": ["text/css; charset=utf-8", readStyle],
  "/page.css": ["text/css; charset=utf-8", () => own("page.css")],
  "/page.js": ["text/javascript; charset=utf-8", () => own("page.js")],
  "/editor.js": ["text/javascript; charset=utf-8", () => own("editor.js")],
};

function own(file: string): Promise<string> {
  return readFile(new URL(`./${file}`, import.meta.url), "utf8");
}

async function sendAsset(response: ServerResponse, path: string, token: string): Promise<void> {
  const [type, read] = assets[path] as (typeof assets)[string];
  send(response, 200, type, (await read()).replace("%TOKEN%", token));
}

function sendJson(response: ServerResponse, value: object | null): void {
  send(response, 200, "application/json", JSON.stringify(value));
}

function send(response: ServerResponse, status: number, type: string, body: string | Uint8Array): void {
  response.writeHead(status, {
    "content-type": type,
    "content-security-policy": policy,
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
  });
  response.end(body);
}

function refuse(response: ServerResponse, error: unknown): void {
  const known = error instanceof LlavaError;
  const status = known && error.exitCode === 2 ? 400 : 500;
  if (response.headersSent) response.destroy();
  else send(response, status, "application/json", JSON.stringify({ error: known ? error.message : "it failed" }));
}
