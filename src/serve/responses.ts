// POST /v1/responses: OpenAI's newer wire format around the same answers; nothing is kept between requests.
import { randomBytes } from "node:crypto";
import { type Report, samplingOf, usageOf } from "./chat.ts";
import { wireError } from "./errors.ts";
import { eventStream, type EventWriter } from "./events.ts";
import type { Ticket } from "./gate.ts";
import type { Constraints } from "../generate/constraint.ts";
import { constraintsOf } from "./format.ts";
import { turnsOfMessages } from "./messages.ts";
import { findModel, type ServedModel } from "./models.ts";
import type { Kitchen } from "./pictures.ts";
import { answerQuestion, type Choice, type Question, type ReadyQuestion, readyQuestion } from "./question.ts";
import { formatOf, messagesOf, responsesField, type ResponsesRequest } from "./responses-schema.ts";

/** The question in a request. Throws `MODEL_NOT_FOUND`, `INVALID_VALUE`. */
export function questionOfResponses(
  request: ResponsesRequest,
  models: readonly ServedModel[],
  salt: string | undefined,
): Question {
  const model = findModel(models, request.model);
  const said = turnsOfMessages(messagesOf(request), responsesField(request));
  return { model, ...said, maxNewTokens: request.max_output_tokens ?? undefined, salt };
}

/** Answers; the ticket is left when the answer is complete. */
export async function answerResponses(
  request: ResponsesRequest,
  question: Question,
  kitchen: Kitchen,
  ticket: Ticket,
  report: Report,
): Promise<Response> {
  const ready = await readyQuestion(question, kitchen, ticket.signal);
  const answer = new ResponsesAnswer(request, ready, kitchen, ticket, report);
  if (request.stream !== true) return Response.json(answer.complete(await answer.answer(() => undefined)));
  return eventStream((events) => answer.stream(events));
}

class ResponsesAnswer {
  readonly #request: ResponsesRequest;
  readonly #ready: ReadyQuestion;
  readonly #kitchen: Kitchen;
  readonly #ticket: Ticket;
  readonly #report: Report;
  readonly #constraints: Constraints | undefined;
  readonly #id = randomBytes(12).toString("hex");
  readonly #created = Math.floor(Date.now() / 1000);

  constructor(request: ResponsesRequest, ready: ReadyQuestion, kitchen: Kitchen, ticket: Ticket, report: Report) {
    this.#request = request;
    this.#ready = ready;
    this.#kitchen = kitchen;
    this.#ticket = ticket;
    this.#report = report;
    this.#constraints = constraintsOf(formatOf(request), ready.model);
  }

  async answer(onText: (text: string) => void): Promise<Choice> {
    try {
      const choices = await answerQuestion(
        this.#ready,
        samplingOf({ ...this.#request, n: 1 }).map((sampling) => ({
          ...sampling,
          onText,
          constraint: this.#constraints?.start(),
        })),
        this.#kitchen,
        this.#ticket,
      );
      this.#report({ model: this.#ready.model.name, usage: usageOf(choices, this.#ready) });
      return choices[0]!;
    } finally {
      this.#ticket.leave();
    }
  }

  /** Never throws: what fails after the head has gone out is told as an event. */
  async stream(events: EventWriter): Promise<void> {
    let sequence = 0;
    const send = (type: string, more: object): void =>
      events.send({ type, sequence_number: sequence++, ...more }, type);
    const place = { item_id: `msg_${this.#id}`, output_index: 0, content_index: 0 };
    send("response.created", { response: this.#describe("in_progress") });
    send("response.in_progress", { response: this.#describe("in_progress") });
    send("response.output_item.added", { output_index: 0, item: this.#message("in_progress", []) });
    send("response.content_part.added", { ...place, part: textPart("") });
    try {
      const choice = await this.answer((delta) =>
        send("response.output_text.delta", { ...place, delta, logprobs: [] }),
      );
      const response = this.complete(choice);
      const part = textPart(choice.text);
      send("response.output_text.done", { ...place, text: choice.text, logprobs: [] });
      send("response.content_part.done", { ...place, part });
      send("response.output_item.done", { output_index: 0, item: this.#message(statusOf(choice), [part]) });
      send(`response.${statusOf(choice)}`, { response });
    } catch (error) {
      this.#report({ model: this.#ready.model.name, error });
      const { code, message } = wireError(error).body.error;
      send("response.failed", { response: { ...this.#describe("failed"), error: { code, message } } });
    }
  }

  complete(choice: Choice): object {
    const usage = usageOf([choice], this.#ready);
    return {
      ...this.#describe(statusOf(choice)),
      incomplete_details: statusOf(choice) === "incomplete" ? { reason: "max_output_tokens" } : null,
      output: [this.#message(statusOf(choice), [textPart(choice.text)])],
      usage: {
        input_tokens: usage.prompt_tokens,
        input_tokens_details: usage.prompt_tokens_details,
        output_tokens: usage.completion_tokens,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: usage.total_tokens,
      },
    };
  }

  #describe(status: string): object {
    const { instructions, max_output_tokens: most, temperature, top_p: topP } = this.#request;
    return {
      id: `resp_${this.#id}`,
      object: "response",
      created_at: this.#created,
      status,
      model: this.#ready.model.name,
      error: null,
      incomplete_details: null,
      instructions: instructions ?? null,
      max_output_tokens: most ?? null,
      temperature: temperature ?? 0,
      top_p: topP ?? 1,
      output: [],
      metadata: {},
      parallel_tool_calls: false,
      previous_response_id: null,
      store: false,
      text: { format: this.#request.text?.format ?? { type: "text" } },
      tool_choice: "auto",
      tools: [],
      truncation: "disabled",
      usage: null,
    };
  }

  #message(status: string, content: readonly object[]): object {
    return { type: "message", id: `msg_${this.#id}`, status, role: "assistant", content };
  }
}

function textPart(text: string): object {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function statusOf({ generation }: Choice): "completed" | "incomplete" {
  return generation.finishReason === "length" ? "incomplete" : "completed";
}
