// A dataset card: where samples come from, how they were made and checked, in Hugging Face's form of README.md.
import { stringify } from "yaml";

export interface CardFacts {
  readonly name: string;
  /** as the user knows it; never a path of this machine */
  readonly source: { readonly name: string; readonly kind: string; readonly pictures: number };
  readonly samples: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly teacher: string;
  /** names and versions of the prompts */
  readonly kinds: readonly { readonly name: string; readonly version?: number }[];
  readonly judge?: string;
  readonly blindTest?: boolean;
  readonly seed: number;
  /** dollars, and tokens of request and answer; absent where nothing was bought */
  readonly cost?: { readonly dollars: number; readonly promptTokens: number; readonly completionTokens: number };
  /** as the user says: of the samples, and of what they were made from */
  readonly license?: string;
  readonly sourceLicense?: string;
  readonly date: string;
}

/** Renders the card. What nobody has told is said to be unknown, never assumed. */
export function renderCard(facts: CardFacts): string {
  const { name, source, samples, dropped, kinds, license, sourceLicense, cost } = facts;
  const head = {
    ...(license === undefined ? {} : { license }),
    task_categories: ["visual-question-answering", "image-text-to-text"],
    pretty_name: name,
    size_categories: [sizeOf(samples)],
    tags: ["synthetic", "visual-instruction-tuning"],
  };
  const drops = Object.entries(dropped).sort(([, a], [, b]) => b - a);
  const lines = [
    `---\n${stringify(head)}---`,
    `# ${oneLine(name)}`,
    `${show(samples)} conversations about pictures of ${oneLine(source.name)} (${source.kind}, ${show(source.pictures)} pictures), written ${facts.date} by \`llava teach\`.`,
    "## How it was made",
    [
      `- teacher: ${oneLine(facts.teacher)}`,
      `- kinds: ${kinds.map((kind) => `${kind.name}${kind.version === undefined ? "" : ` (prompt ${kind.version})`}`).join(", ")}`,
      `- seed: ${facts.seed}`,
      `- judge: ${facts.judge === undefined ? "none" : `${oneLine(facts.judge)}, which saw what the teacher saw`}`,
      ...(facts.blindTest === true
        ? ["- `blind_right`: the share of answers that a model gave without the picture"]
        : []),
      ...(cost === undefined
        ? []
        : [
            `- cost: $${cost.dollars.toFixed(4)} for ${show(cost.promptTokens)} + ${show(cost.completionTokens)} tokens`,
          ]),
    ].join("\n"),
    "The teacher read captions and boxes, not the pictures: what these leave out, no conversation knows.",
    "## What was dropped",
    drops.length === 0
      ? "Nothing."
      : `| reason | answers |\n|---|---:|\n${drops.map(([reason, n]) => `| ${reason} | ${show(n)} |`).join("\n")}`,
    "## Licences",
    `Samples: ${license ?? "not told"}. Pictures and captions: ${sourceLicense ?? "not told"}. Terms of the teacher's provider may add to both.`,
  ];
  return `${lines.join("\n\n")}\n`;
}

function sizeOf(samples: number): string {
  const bounds = [
    [1e3, "n<1K"],
    [1e4, "1K<n<10K"],
    [1e5, "10K<n<100K"],
    [1e6, "100K<n<1M"],
  ] as const;
  return bounds.find(([most]) => samples < most)?.[1] ?? "1M<n<10M";
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[<>|`]/g, "");
}

function show(n: number): string {
  return n.toLocaleString("en-US");
}
