// What a person does with the page, for tests: types, chooses, waits.
import axe from "axe-core";
import type { Page } from "playwright-core";
import { encodePng } from "../src/image/node.ts";
import { until } from "../src/serve/tiny-server.fixture.ts";

interface PictureFile {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

/** A drawing of its own for each seed. */
export async function pictureFile(seed: number, width = 64, height = 48): Promise<PictureFile> {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * (seed + 3)) % 256);
  return {
    name: `picture-${seed}.png`,
    mimeType: "image/png",
    buffer: Buffer.from(await encodePng({ width, height, data })),
  };
}

export class Hand {
  readonly #page: Page;

  constructor(page: Page) {
    this.#page = page;
  }

  /** Fills fields of the settings, and chooses from its lists. */
  async settings(values: Readonly<Record<string, string>>): Promise<void> {
    await this.#page.getByRole("button", { name: "Settings" }).click();
    const dialog = this.#page.getByRole("dialog", { name: "Settings" });
    for (const [label, value] of Object.entries(values)) {
      const field = dialog.getByLabel(label, { exact: true });
      const list = await field.evaluate((element) => element.tagName === "SELECT");
      await (list ? field.selectOption(value) : field.fill(value));
    }
    await dialog.getByRole("button", { name: "Done" }).click();
  }

  async attach(file: PictureFile): Promise<void> {
    await this.#page.getByLabel("Pictures", { exact: true }).setInputFiles(file);
    await this.#page.getByRole("button", { name: `Remove ${file.name}` }).waitFor();
  }

  async question(text: string): Promise<void> {
    const field = this.#page.locator("#ask");
    await field.fill(text);
    await until(() => this.#page.getByRole("button", { name: "Ask", exact: true }).isEnabled());
    await field.press("Enter");
    await this.#page.locator(".question").last().waitFor();
  }

  /** Waits until the last answer is at its end. */
  async done(): Promise<void> {
    await this.#page.locator('.answer[aria-busy="false"] .cost').last().waitFor();
    await this.#page.locator('.answer[aria-busy="true"]').waitFor({ state: "detached" });
  }

  /** The words of the last answer, without what stands below them. */
  answerText(): Promise<string> {
    return this.#page
      .locator(".answer")
      .last()
      .evaluate((answer) => {
        const copy = answer.cloneNode(true) as HTMLElement;
        copy.querySelectorAll(".tools, .quiet, .coming").forEach((element) => element.remove());
        return copy.textContent ?? "";
      });
  }
}

/** Notes what must never happen: requests elsewhere, errors, breaches of the policy. */
export function watch(page: Page, complaints: string[]): void {
  page.on("request", (request) => {
    const address = request.url();
    if (!/^(data|blob):/.test(address) && new URL(address).hostname !== "127.0.0.1")
      complaints.push(`asked ${address}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
}

/** What axe finds wrong with the page as it is. */
export async function axeProblems(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" ")}`);
}
