// The routes of the server, and what every request goes through before it reaches one.
import { randomUUID } from "node:crypto";
import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import type { z } from "zod";
import { attentionSchema, tellAttention } from "./attention.ts";
import { BodyRoom } from "./body.ts";
import { answerChat, questionOf, type Report, type Usage } from "./chat.ts";
import { chatSchema } from "./chat-schema.ts";
import { isInternal, RequestError, wireError } from "./errors.ts";
import type { Gate, Ticket } from "./gate.ts";
import type { Guard } from "./guard.ts";
import { contextOf, type ServedModel } from "./models.ts";
import { openApi, routes } from "./openapi.ts";
import { addPage, type Page } from "./page.ts";
import { parseBody } from "./parse.ts";
import type { Kitchen } from "./pictures.ts";
import { saltOf } from "./question.ts";
import { answerResponses, questionOfResponses } from "./responses.ts";
import { responsesSchema } from "./responses-schema.ts";
import { tokenize, tokenizeSchema } from "./tokenize.ts";
import { takeVote, type VoteBook, voteSchema } from "./votes.ts";

/** A line of the log. */
export interface RequestLog {
  readonly event: "request";
  readonly id: string;
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  readonly model?: string;
  readonly usage?: Usage;
  /** the client left before its answer was complete */
  readonly left?: true;
  readonly code?: string;
  /** what was asked, where the server was told to log it */
  readonly prompt?: unknown;
}

export interface AppOptions {
  readonly models: readonly ServedModel[];
  readonly kitchen: Kitchen;
  readonly gate: Gate;
  readonly guard: Guard;
  /** the page's files; empty: there is none */
  readonly page: Page;
  /** where votes go; absent: none are taken */
  readonly votes?: VoteBook | undefined;
  /** of this package, for /openapi.json */
  readonly version: string;
  readonly log: (line: RequestLog, internal?: unknown) => void;
  /** prompts are logged */
  readonly logPrompts: boolean;
}

interface Told {
  model?: string;
  usage?: Usage;
  error?: unknown;
  prompt?: unknown;
}

interface Served {
  Bindings: HttpBindings;
  Variables: {
    id: string;
    key: string | undefined;
    told: Told;
    /** aborted when the client leaves */
    client: AbortSignal;
  };
}

const openRoutes: ReadonlySet<string> = new Set(["/health"]);

/** The app: its `fetch` answers requests; everything wrong comes back in OpenAI's error shape. */
export function createApp(options: AppOptions): Hono<Served> {
  const app = new Hono<Served>();
  addGuards(app, options);
  addPage(app, options.page);
  addInformation(app, options);
  const answered = answerer(options);
  addAnswers(app, options, answered);
  addVotes(app, options, answered);
  app.notFound((c) => refuse(c, notFound("a route of /openapi.json", "ROUTE_NOT_FOUND")));
  app.onError((error, c) => refuse(c, error));
  return app;
}

/** What every request goes through. */
function addGuards(app: Hono<Served>, options: AppOptions): void {
  const { guard, page } = options;
  app.use(async (c, next) => {
    c.set("id", `req_${randomUUID()}`);
    c.set("told", {});
    c.set("client", watch(c, options));
    await next();
    c.header("x-request-id", c.get("id"));
    c.header("x-content-type-options", "nosniff");
    allowOrigin(c, options);
  });
  app.use(async (c, next) => {
    guard.checkHost(c.req.header("host"));
    guard.checkOrigin(c.req.header("origin"), c.req.header("host"));
    if (c.req.method === "OPTIONS") return c.body(null, 204);
    const open = openRoutes.has(c.req.path) || (c.req.method === "GET" && page.has(c.req.path));
    if (!open) c.set("key", guard.checkKey(c.req.header("authorization")));
    return next();
  });
}

function addInformation(app: Hono<Served>, { models, gate, kitchen, version, votes }: AppOptions): void {
  const description = openApi(version);
  app.get("/health", (c) => c.json({ status: gate.closed ? "ending" : "ok" }, gate.closed ? 503 : 200));
  app.get("/v1/models", (c) => c.json({ object: "list", data: models.map(modelJson), votes: votes !== undefined }));
  app.get("/v1/models/:name", (c) => {
    const model = models.find(({ name }) => name === c.req.param("name"));
    if (model === undefined) throw notFound("a model of /v1/models", "MODEL_NOT_FOUND");
    return c.json(modelJson(model));
  });
  app.get("/openapi.json", (c) => c.json(description));
  app.get("/metrics", async (c) => {
    const { body, type } = await kitchen.metrics.text();
    return c.body(body, 200, { "content-type": type });
  });
}

/** Reads a body, lets it in, and answers it; the ticket is left by whoever answers, or when that fails. */
type Answered = <S extends z.ZodType>(
  c: Context<Served>,
  schema: S,
  read: (request: z.infer<S>, told: Told) => (ticket: Ticket, report: Report) => Promise<Response>,
  mostBytes?: number,
) => Promise<Response>;

function answerer({ kitchen, gate }: AppOptions): Answered {
  const room = new BodyRoom(kitchen.limits);
  return (c, schema, read, mostBytes) =>
    room.use(
      c.env.incoming,
      async (bytes) => {
        const told = c.get("told");
        const answer = read(parseBody(bytes, schema), told);
        const ticket = gate.enter(c.get("client"));
        try {
          return await answer(ticket, (said) => Object.assign(told, said));
        } catch (error) {
          ticket.leave();
          throw error;
        }
      },
      mostBytes,
    );
}

function addAnswers(app: Hono<Served>, { models, kitchen }: AppOptions, answered: Answered): void {
  app.post("/v1/chat/completions", (c) =>
    answered(c, chatSchema, (request, told) => {
      told.prompt = request.messages;
      const question = questionOf(request, models, saltOf(c.get("key")));
      return (ticket, report) => answerChat(request, question, kitchen, ticket, report);
    }),
  );
  app.post("/v1/responses", (c) =>
    answered(c, responsesSchema, (request, told) => {
      told.prompt = request.input;
      const question = questionOfResponses(request, models, saltOf(c.get("key")));
      return (ticket, report) => answerResponses(request, question, kitchen, ticket, report);
    }),
  );
  app.post("/v1/attention", (c) =>
    answered(c, attentionSchema, (request, told) => async (ticket, report) => {
      told.prompt = request.messages;
      const result = await tellAttention(request, models, saltOf(c.get("key")), kitchen, ticket);
      report({ model: result.model });
      ticket.leave();
      return Response.json(result);
    }),
  );
  app.post("/tokenize", (c) =>
    answered(c, tokenizeSchema, (request) => async (ticket) => {
      const result = await tokenize(request, models, saltOf(c.get("key")), kitchen, ticket.signal);
      ticket.leave();
      return Response.json(result);
    }),
  );
}

function addVotes(app: Hono<Served>, { models, kitchen, votes }: AppOptions, answered: Answered): void {
  app.post("/v1/votes", (c) => {
    if (votes === undefined) {
      const fix = "start it with llava serve … --votes FILE";
      throw new RequestError(404, "VOTES_OFF", { expected: "a server that takes votes", got: "one without", fix });
    }
    const read = (vote: z.infer<typeof voteSchema>, told: Told) => async (ticket: Ticket) => {
      told.prompt = vote.messages;
      const result = await takeVote(vote, models, votes);
      ticket.leave();
      return Response.json(result);
    };
    return answered(c, voteSchema, read, kitchen.limits.voteBytes);
  });
}

/** Logs and counts a request when its connection is done with it; the signal tells when that was too early. */
function watch(c: Context<Served>, { log, logPrompts, kitchen, page }: AppOptions): AbortSignal {
  const started = performance.now();
  const client = new AbortController();
  const { outgoing } = c.env;
  outgoing.once("close", () => {
    const left = !outgoing.writableFinished;
    if (left) client.abort();
    const { model, usage, error, prompt } = c.get("told");
    const ms = Math.round(performance.now() - started);
    const route = page.has(c.req.path) ? "page" : routeOf(c.req.path);
    const status = outgoing.statusCode;
    kitchen.metrics.request(route, status, ms / 1000);
    const line: RequestLog = {
      event: "request",
      id: c.get("id"),
      method: c.req.method,
      route,
      status,
      ms,
      ...(model !== undefined && { model }),
      ...(usage && { usage }),
      ...(left && { left }),
      ...(error !== undefined && !left && { code: wireError(error).body.error.code }),
      ...(logPrompts && prompt !== undefined && { prompt }),
    };
    log(line, error !== undefined && !left && isInternal(error) ? error : undefined);
  });
  return client.signal;
}

/** A route's name: few, whatever is asked for. */
function routeOf(path: string): string {
  if (path in routes) return path;
  return path.startsWith("/v1/models/") ? "/v1/models/{model}" : "other";
}

function modelJson(model: ServedModel): object {
  const { name, created, assistant } = model;
  const sees = assistant.sight !== undefined;
  return { id: name, object: "model", created, owned_by: "llava-ts", max_model_len: contextOf(model), vision: sees };
}

function notFound(expected: string, code: string): RequestError {
  return new RequestError(404, code, { expected, got: "something else" });
}

function refuse(c: Context<Served>, error: unknown): Response {
  const { status, headers, body } = wireError(error);
  c.get("told").error = error;
  return Response.json(body, { status, headers });
}

function allowOrigin(c: Context<Served>, { guard }: AppOptions): void {
  const origin = c.req.header("origin");
  if (origin === undefined || !guard.allows(origin)) return;
  c.header("access-control-allow-origin", origin);
  c.header("vary", "origin");
  c.header("access-control-allow-headers", "authorization, content-type");
  c.header("access-control-allow-methods", "GET, POST");
  c.header("access-control-expose-headers", "x-request-id, retry-after");
}
