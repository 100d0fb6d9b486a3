// Several endpoints as one: requests are spread by weight, and go elsewhere when one gives out.
import { BugError } from "../errors.ts";
import type { Endpoint } from "./endpoint.ts";
import { EndpointError, type EndpointCode } from "./failure.ts";
import type { Price } from "./price.ts";

export interface Member {
  readonly endpoint: Endpoint;
  /** how many requests it gets for one of a member of weight 1, while both keep up */
  readonly weight: number;
}

/** Errors of the endpoint, not of the request: every further request there would meet them too. */
export const unusable: ReadonlySet<EndpointCode> = new Set([
  "ENDPOINT_DOWN",
  "ENDPOINT_AUTH",
  "ENDPOINT_RATE",
  "ENDPOINT_QUOTA",
  "ENDPOINT_REDIRECT",
]);

/**
 * An endpoint made of several. Each keeps its own limits, key and price. A member with free slots gets the next request
 * when it has had the fewest for its weight; one that turns out unusable gets no more, and its request goes to another.
 */
export function openPool(members: readonly Member[], onLost: (url: string, error: EndpointError) => void): Endpoint {
  let live: readonly Place[] = members.map((member) => ({ ...member, given: 0 }));
  let lost: EndpointError | undefined;
  const sum = (of: (endpoint: Endpoint) => number): number => live.reduce((all, { endpoint }) => all + of(endpoint), 0);
  const choose = (): Place => {
    const idle = live.filter(({ endpoint }) => endpoint.load < endpoint.limit);
    const [first, ...others] = idle.length > 0 ? idle : live;
    if (first === undefined) throw lost ?? new BugError("POOL_EMPTY", { expected: "an endpoint", got: "none" });
    return others.reduce((best, each) => (turn(each) < turn(best) ? each : best), first);
  };
  return {
    url: members.map(({ endpoint }) => endpoint.url).join(", "),
    concurrency: members.reduce((all, { endpoint }) => all + endpoint.concurrency, 0),
    price: dearest(members),
    get limit() {
      return sum(({ limit }) => limit);
    },
    get load() {
      return sum(({ load }) => load);
    },
    async chat(request, options) {
      for (;;) {
        const place = choose();
        place.given++;
        try {
          return await place.endpoint.chat(request, options);
        } catch (error) {
          if (!(error instanceof EndpointError) || !unusable.has(error.code)) throw error;
          lost = error;
          if (live.includes(place)) onLost(place.endpoint.url, error);
          live = live.filter((each) => each !== place);
        }
      }
    },
  };
}

interface Place extends Member {
  given: number;
}

/** The member with the lowest is next. */
function turn({ given, weight }: Place): number {
  return (given + 1) / weight;
}

/** What a request costs at most: nobody knows yet which member will answer it. */
function dearest(members: readonly Member[]): Price {
  const prices = members.map(({ endpoint }) => endpoint.price);
  const most = (of: (price: Price) => number): number => Math.max(...prices.map(of));
  return { input: most(({ input }) => input), output: most(({ output }) => output) };
}
