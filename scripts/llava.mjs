// Runs the command line of a checkout: `npm run -s llava -- ARGS` builds what changed, then is `llava ARGS` in this process.
import { pathToFileURL } from "node:url";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build, isInstalled, isStale } from "./build.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const main = resolve(root, "dist/cli/main.js");

if (!isInstalled()) {
  console.error("error[NOT_INSTALLED]: expected the project's packages, got none (node_modules); run npm ci first");
  process.exit(2);
}
if (isStale()) {
  const complaints = build();
  // what was emitted still runs, as with any tool that strips types
  if (complaints !== "")
    console.error(`llava: ${complaints.trim().split("\n").length} lines of type errors; see npm run check`);
}
// npm runs scripts in the project's folder; paths are meant from where the user stands
const { npm_lifecycle_event: event, INIT_CWD: cwd } = process.env;
if (event === "llava" && cwd !== undefined) process.chdir(cwd);
process.argv[1] = main;
await import(pathToFileURL(main).href);
