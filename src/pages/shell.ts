// The page around a report's content: nothing may be fetched or run, whatever a caption says.
import { html, type Html } from "./html.ts";

export interface ShellOptions {
  readonly title: string;
  /** the content of style.css */
  readonly style: string;
  /** seconds after which an open page loads itself again */
  readonly refresh?: number;
}

/** A whole page of HTML that needs nothing else. */
export function renderShell(body: Html, { title, style, refresh }: ShellOptions): string {
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
  const head = html`<meta charset="utf-8" /><meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta http-equiv="Content-Security-Policy" content="${policy}" />
    ${refresh === undefined ? undefined : html`<meta http-equiv="refresh" content="${refresh}" />`}
    <title>${title}</title>`;
  return `<!doctype html>\n<html lang="en"><head>${head.source}<style>\n${style}</style></head>\n<body>${body.source}</body></html>\n`;
}
