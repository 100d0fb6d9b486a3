// A real Chromium for tests of pages, where this machine has one.
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Path of a Chromium: $CHROMIUM, or where systems put it; undefined where there is none. */
export const chromiumPath = [process.env["CHROMIUM"], ...usual].find((path) => path !== undefined && existsSync(path));

/** What a skipped test says. */
export const withoutChromium = "needs Chromium: name one in $CHROMIUM, or install the package chromium";

export function openBrowser(): Promise<Browser> {
  const camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
  return chromium.launch({ executablePath: chromiumPath!, args: ["--no-sandbox", ...camera] });
}
