// Checks what the linter cannot say: the import law, where `node:` may appear, typed errors only, first-line comments.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, posix, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { layers, nativePackages, nodeFolders, sameLayer } from "./layers.mjs";

const importPattern =
  /(?:^|[;}\s])(?:import|export)\s[^;"'`]*?from\s*["']([^"']+)["']|import\s*\(?\s*["']([^"']+)["']/g;
const throwPattern = /throw\s+new\s+(?:Error|TypeError|RangeError)\b/g;

/** Problems of all TypeScript sources below `root`/src, each as "file:line: what is wrong". */
export function findBreaches(root) {
  const src = resolve(root, "src");
  return readdirSync(src, { recursive: true })
    .map((name) => name.split(sep).join("/"))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .sort()
    .flatMap((name) => checkFile(name, readFileSync(resolve(src, name), "utf8")));
}

function checkFile(name, text) {
  const code = text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/[^\n]*/g, (comment) => comment.replace(/[^\n]/g, " "));
  const isTest = /\.(?:test|fixture)\.ts$/.test(name);
  const at = (index) => `src/${name}:${code.slice(0, index).split("\n").length}`;
  const found = [];
  for (const match of code.matchAll(importPattern)) {
    const problem = checkImport(name, match[1] ?? match[2], isTest);
    if (problem) found.push(`${at(match.index + match[0].length)}: ${problem}`);
  }
  if (!isTest) {
    for (const match of code.matchAll(throwPattern)) {
      found.push(`${at(match.index)}: ${match[0]}: throw InputError, RunError or BugError with a code`);
    }
  }
  if (!isTest && !/^(?:#![^\n]*\n)?\/\/ \S/.test(text))
    found.push(`src/${name}:1: the first line says what the file is, as a // comment`);
  return found;
}

function checkImport(from, specifier, isTest) {
  if (specifier.startsWith(".")) return isTest ? undefined : checkLayer(from, specifier);
  const native = specifier.startsWith("node:") || nativePackages.includes(specifier.split("/")[0]);
  if (!native || isTest) return undefined;
  const folder = from.split("/")[0];
  if (nodeFolders.includes(folder) || /(?:^|[/-])node\.ts$/.test(from)) return undefined;
  return `${specifier} in ${folder}/, which also runs in a browser: move it to a file named node.ts or *-node.ts`;
}

function checkLayer(from, specifier) {
  const target = posix.join(dirname(from).split(sep).join("/"), specifier);
  if (target.startsWith("..")) return `${specifier} leaves src/`;
  const [home, away] = [from.split("/")[0], target.split("/")[0]];
  if (home === away || sameLayer.some(([user, used]) => user === home && used === away)) return undefined;
  const [homeLayer, awayLayer] = [layerOf(home), layerOf(away)];
  if (homeLayer < 0) return `${home} is in no layer of scripts/layers.mjs`;
  if (awayLayer < 0) return `${away} is in no layer of scripts/layers.mjs`;
  if (awayLayer < homeLayer) return undefined;
  return `${home} (layer ${homeLayer}) imports ${away} (layer ${awayLayer}): imports go to a lower layer`;
}

const layerOf = (folder) => layers.findIndex((layer) => layer.includes(folder));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = process.argv[2] ?? resolve(dirname(fileURLToPath(import.meta.url)), "..");
  const breaches = findBreaches(root);
  for (const breach of breaches) console.log(breach);
  console.log(`${breaches.length} breaches of the laws below ${relative(process.cwd(), root) || "."}`);
  process.exitCode = breaches.length === 0 ? 0 : 1;
}
