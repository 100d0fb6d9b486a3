// Why a request failed: the codes, and what each tells the user to do.
import { InputError, type ErrorDetails } from "../errors.ts";

/** Stable codes of everything an endpoint can do wrong. */
export type EndpointCode =
  | "ENDPOINT_DOWN"
  | "ENDPOINT_BROKEN"
  | "ENDPOINT_STOPPED"
  | "ENDPOINT_TIMEOUT"
  | "ENDPOINT_AUTH"
  | "ENDPOINT_RATE"
  | "ENDPOINT_QUOTA"
  | "ENDPOINT_SERVER"
  | "ENDPOINT_NONSENSE"
  | "ENDPOINT_TOO_LARGE"
  | "ENDPOINT_REDIRECT"
  | "ENDPOINT_REFUSED";

/** One failed attempt. */
export interface Failure {
  readonly code: EndpointCode;
  /** what came instead of an answer; never holds the key */
  readonly got: string;
  readonly status?: number;
  /** whether the same request may succeed later */
  readonly retry: boolean;
  /** milliseconds that the server asked to wait */
  readonly waitMs?: number;
  readonly cause?: unknown;
}

/** A request that failed for good, after `attempts` attempts. */
export class EndpointError extends InputError {
  declare readonly code: EndpointCode;
  readonly attempts: number;

  constructor(code: EndpointCode, details: ErrorDetails, attempts: number) {
    super(code, details);
    this.attempts = attempts;
  }
}

const advice: Readonly<Record<EndpointCode, string>> = {
  ENDPOINT_DOWN: "start the server or correct its address",
  ENDPOINT_BROKEN: "look at the server's log, and run it again",
  ENDPOINT_STOPPED: "run it again",
  ENDPOINT_TIMEOUT: "allow more time, or ask for fewer tokens",
  ENDPOINT_AUTH: "put a valid key for this endpoint into the environment variable that holds it",
  ENDPOINT_RATE: "run it again later, or with fewer requests at once",
  ENDPOINT_QUOTA: "add credit to the account or use another endpoint",
  ENDPOINT_SERVER: "run it again later, or look at the server's log",
  ENDPOINT_NONSENSE: "check that the address is that of an OpenAI-compatible endpoint, most often ending on /v1",
  ENDPOINT_TOO_LARGE: "check the address, or ask for fewer tokens",
  ENDPOINT_REDIRECT: "give the address that it points to: requests, and the key, go only where the user said",
  ENDPOINT_REFUSED: "check the model's name and the parameters",
};

/** The error that a user reads. */
export function failed({ code, got, cause }: Failure, url: string, attempts: number): EndpointError {
  const tried = attempts > 1 ? `${got}, after ${attempts} attempts` : got;
  const details = { expected: "an answer of the endpoint", got: tried, where: url, fix: advice[code], cause };
  return new EndpointError(code, details, attempts);
}
