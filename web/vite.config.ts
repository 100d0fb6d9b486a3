// Builds the page into dist/web: files that `llava serve` serves under a strict policy, so nothing may be inline.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  // a proxy may serve the page below any path
  base: "./",
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    // the licences of what is bundled travel with it
    license: { fileName: "licenses.md" },
  },
});
