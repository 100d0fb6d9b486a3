// HTML from templates: every text that is put in is escaped, and pieces of HTML nest.

/** A piece of HTML that needs no escaping any more; only `html` makes it. */
class Html {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}
export type { Html };

type Content = string | number | Html | undefined | readonly Content[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A tagged template: values are escaped, for text and quoted attributes alike; lists are joined, undefined is nothing. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.map((part, i) => part + (i < values.length ? show(values[i]) : "")).join(""));
}

/** Without the white space between tags, for drawings, where it means nothing. */
export function compact({ source }: Html): Html {
  return new Html(source.replaceAll(/\s*\n\s*/g, " ").replaceAll(/> </g, "><"));
}

function show(value: Content): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.source;
  if (typeof value === "object") return value.map(show).join("");
  return String(value).replaceAll(/[&<>"']/g, (sign) => entities[sign] ?? sign);
}
