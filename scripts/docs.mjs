// Writes what the docs say about the code: the README's tree, docs/reference.md, docs/tree.md and the recipe's JSON Schema.
// With `--check` it writes nothing and fails where one of them is out of date.
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { z } from "zod";
import { build, isStale } from "./build.mjs";
import { clauses, layers } from "./layers.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const fromDist = (path) => import(pathToFileURL(join(root, "dist", path)).href);
const read = (path) => readFileSync(join(root, path), "utf8");

if (isStale()) build();
const { recipeSchema } = await fromDist("train/recipe-schema.js");
const { createProgram } = await fromDist("cli/program.js");
const schema = recipeJsonSchema();
const sources = readdirSync(join(root, "src"), { recursive: true })
  .map((name) => name.split(sep).join("/"))
  .filter((name) => name.endsWith(".ts") && !/\.(?:test|fixture)\.ts$/.test(name))
  .sort();

const pages = {
  "docs/recipe.schema.json": `${JSON.stringify(schema, null, 2)}\n`,
  "docs/reference.md": reference(await createProgram()),
  "docs/tree.md": tree(),
  "README.md": withTree(read("README.md")),
};
for (const [path, text] of Object.entries(pages)) {
  const current = existsSync(join(root, path)) ? read(path) : undefined;
  if (current === text) continue;
  if (process.argv.includes("--check")) {
    console.error(`${path} is out of date: node scripts/docs.mjs`);
    process.exitCode = 1;
  } else writeFileSync(join(root, path), text);
}

function recipeJsonSchema() {
  const { $schema, ...rest } = z.toJSONSchema(recipeSchema, {
    io: "input",
    // zod states JavaScript's own bounds for every whole number
    override: ({ jsonSchema }) => {
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return { $schema, title: "llava recipe", ...rest };
}

function reference(program) {
  return [
    "# Reference",
    "Generated from the code by `node scripts/docs.mjs`. How the parts play together is told in [guide.md](guide.md).",
    "## Commands",
    ...commands(program).map((command) => `### ${path(command)}\n\`\`\`text\n${help(command)}\n\`\`\``),
    "## Recipe keys",
    "Editors complete and check recipes with [recipe.schema.json](recipe.schema.json). Relative paths start at the folder that `llava` is called in.",
    ["| key | value | default | meaning |", "|---|---|---|---|", ...keys(schema, "")].join("\n"),
    "## Error codes",
    "Every failure is one line on stderr, `error[CODE]: expected …, got … (where); what to do`. Codes are stable. Exit code 2 stands for wrong usage or bad input, 1 for what failed while running, 130 for an interruption.",
    ["| code | thrown by |", "|---|---|", ...errorCodes()].join("\n"),
    "",
  ]
    .join("\n\n")
    .replace(/\n+$/, "\n");
}

function commands(command) {
  const inner = command.commands.flatMap(commands);
  // a verb with verbs below it may have work of its own
  return command.commands.length === 0 || command.registeredArguments.length > 0 ? [command, ...inner] : inner;
}

function path(command) {
  return command.parent ? `${path(command.parent)} ${command.name()}` : command.name();
}

function help(command) {
  command.configureOutput({ getOutHelpWidth: () => 110, getOutHasColors: () => false });
  return command.helpInformation().trim();
}

/** Rows for every key below a schema, alternatives merged. */
function keys(node, prefix) {
  const alternatives = [node, ...(node.anyOf ?? [])];
  const seen = new Set();
  return alternatives.flatMap(({ properties = {}, required = [] }) =>
    Object.entries(properties).flatMap(([name, child]) => {
      const key = `${prefix}${name}`;
      const inner = [child, ...(child.anyOf ?? [])];
      const listed = inner.flatMap(({ items: each }) => (each ? [each, ...(each.anyOf ?? [])] : []));
      const items = listed.find((each) => each.properties !== undefined);
      const own = seen.has(key) ? [] : [keyRow(key, child, required.includes(name))];
      seen.add(key);
      return [...own, ...keys(child, `${key}.`), ...(items ? keys(items, `${key}[].`) : [])];
    }),
  );
}

function keyRow(key, child, needed) {
  const fallback = child.default === undefined ? (needed ? "needed" : "") : `\`${JSON.stringify(child.default)}\``;
  return `| \`${key}\` | ${typeOf(child)} | ${fallback} | ${child.description ?? ""} |`;
}

function typeOf({ type, anyOf, enum: values, items, const: value }) {
  if (value !== undefined) return `\`${value}\``;
  if (values) return values.map((each) => `\`${each}\``).join(", ");
  if (anyOf) return [...new Set(anyOf.map(typeOf))].join(" or ");
  if (type === "array") return items?.properties ? "list of mappings" : `list of ${items ? typeOf(items) : "numbers"}`;
  return { string: "text", integer: "whole number", number: "number", object: "mapping" }[type] ?? type;
}

function errorCodes() {
  const places = new Map();
  for (const name of sources) {
    const text = read(`src/${name}`);
    const bugs = new Set([...text.matchAll(/new BugError\(\s*"([A-Z0-9_]+)"/g)].map(([, code]) => code));
    if (!/InputError|RunError|EndpointError/.test(text) || text.includes("parent === null) throw new BugError"))
      continue;
    for (const [, before, code] of text.matchAll(/(env\[)?"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"/g)) {
      if (before || bugs.has(code) || code.startsWith("LLAVA_") || /^(?:I?Q|TQ|F)\d/.test(code)) continue;
      places.set(code, (places.get(code) ?? new Set()).add(name.split("/")[0]));
    }
  }
  const rows = [...places].sort(([a], [b]) => (a < b ? -1 : 1));
  return rows.map(([code, names]) => `| \`${code}\` | ${[...names].map((name) => `src/${name}`).join(", ")} |`);
}

function tree() {
  const lines = ["# Every file", "Generated from each file's first line by `node scripts/docs.mjs`."];
  for (const folder of layers.flat()) {
    const files = sources.filter((name) => name === folder || name.startsWith(`${folder}/`));
    if (files.length === 0) continue;
    const rows = files.map((name) => `| [${name}](../src/${name}) | ${firstLine(name).replaceAll("|", "\\|")} |`);
    lines.push(`## ${folder}: ${clauses[folder]}`, ["| file | what it is |", "|---|---|", ...rows].join("\n"));
  }
  return `${lines.join("\n\n")}\n`;
}

function firstLine(name) {
  return (
    read(`src/${name}`)
      .split("\n")
      .find((line) => line.startsWith("// "))
      ?.slice(3) ?? ""
  );
}

/** The README with the folders of src between its two markers: files and lines of code, tests not counted. */
function withTree(readme) {
  const rows = layers.flatMap((folders, layer) =>
    folders.map((folder) => {
      const files = sources.filter((name) => name === folder || name.startsWith(`${folder}/`));
      return files.length === 0 ? undefined : `${String(layer).padEnd(6)}${folder.padEnd(12)}${clauses[folder]}`;
    }),
  );
  const text = ["```text", "layer src/", ...rows.filter(Boolean), "```"].join("\n");
  return readme.replace(/(<!-- tree -->\n)[\s\S]*?(\n<!-- \/tree -->)/, `$1${text}$2`);
}
