// A model's words as Markdown: nothing in them runs, loads or leads away unseen.
import { memo } from "react";
import Markdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";

const components: Components = {
  // a picture named by a model would be a request to wherever it says
  img: ({ alt }) => <span className="no-picture">[picture{alt ? `: ${alt}` : ""}]</span>,
  a: ({ href, children }) =>
    /^https?:\/\//i.test(href ?? "") ? (
      <a href={href} title={href} target="_blank" rel="noopener noreferrer nofollow">
        {children}
      </a>
    ) : (
      <span>{children}</span>
    ),
  // the answer's headings stand below those of the page
  h1: ({ children }) => <h3>{children}</h3>,
  h2: ({ children }) => <h4>{children}</h4>,
  h3: ({ children }) => <h5>{children}</h5>,
  h4: ({ children }) => <h6>{children}</h6>,
  h5: ({ children }) => <h6>{children}</h6>,
  table: ({ children }) => (
    <div className="wide" tabIndex={0} role="group" aria-label="Table">
      <table>{children}</table>
    </div>
  ),
  pre: ({ children }) => (
    <pre className="wide" tabIndex={0}>
      {children}
    </pre>
  ),
};

const plugins = [remarkGfm];

/** Raw HTML is shown as the text that it is. */
export const SafeMarkdown = memo(function SafeMarkdown({ text }: { readonly text: string }) {
  return (
    <Markdown remarkPlugins={plugins} components={components}>
      {text}
    </Markdown>
  );
});
