// A request's pictures on their way to the tower: fetched, decoded elsewhere, known again by their content.
import type { PictureTokens } from "../generate/generation.ts";
import { pictureHash } from "../image/node.ts";
import type { Decoder } from "./decoder.ts";
import { RequestError } from "./errors.ts";
import type { FetchRules } from "./fetch-picture.ts";
import type { ServeLimits } from "./limits.ts";
import type { PictureAddress } from "./messages.ts";
import type { Metrics } from "./metrics.ts";
import type { ServedModel } from "./models.ts";
import { pictureBytes } from "./picture-bytes.ts";
import type { ViewPlan } from "./views.ts";

/** What a server answers with. */
export interface Kitchen {
  readonly limits: ServeLimits;
  readonly decoder: Decoder;
  /** absent: no picture is fetched */
  readonly fetching?: Pick<FetchRules, "hosts" | "resolve" | "allowed"> | undefined;
  readonly metrics: Metrics;
  /** how many views a picture has, by model and key, as far as it is remembered */
  readonly viewCounts: Map<string, number>;
}

/** A picture that the tower can be shown. */
export interface ReadyPicture {
  readonly key: string;
  /** how many views it has */
  readonly count: number;
  readonly views: () => readonly Float32Array[] | Promise<readonly Float32Array[]>;
}

/** Whose pictures they are, and for which model. */
export interface PictureUse {
  readonly model: ServedModel;
  readonly salt: string | undefined;
}

const mostCounts = 10_000;

/**
 * Fetches and decodes pictures, those alone whose features are not known yet. Nothing here looks into their bytes: that
 * is done where it can be ended. Throws `INVALID_VALUE`, `MODEL_TEXT_ONLY`, `INVALID_IMAGE_URL`, `PICTURE_…`, and the
 * signal's reason when the client has left.
 */
export async function readyPictures(
  pictures: readonly PictureAddress[],
  use: PictureUse,
  kitchen: Kitchen,
  signal: AbortSignal,
): Promise<ReadyPicture[]> {
  checkPictures(pictures, use, kitchen.limits);
  const ready: ReadyPicture[] = [];
  for (const picture of pictures) ready.push(await readyPicture(picture, use, kitchen, signal));
  return ready;
}

function checkPictures(pictures: readonly PictureAddress[], { model }: PictureUse, limits: ServeLimits): void {
  const [first] = pictures;
  if (first === undefined) return;
  if (pictures.length > limits.pictures) {
    const expected = `at most ${limits.pictures} pictures`;
    throw new RequestError(400, "INVALID_VALUE", { expected, got: String(pictures.length), where: first.where });
  }
  if (model.assistant.sight !== undefined) return;
  throw new RequestError(400, "MODEL_TEXT_ONLY", {
    expected: "words alone, as this model has no vision tower",
    got: "a picture",
    where: first.where,
  });
}

async function readyPicture(
  address: PictureAddress,
  { model, salt }: PictureUse,
  { limits, decoder, fetching, metrics, viewCounts }: Kitchen,
  signal: AbortSignal,
): Promise<ReadyPicture> {
  const { preprocessor, tiles, reader } = model.assistant.sight!;
  const plan: ViewPlan = { preprocessor, tiles, low: address.detail === "low" };
  const bytes = await pictureBytes(address, limits, fetching, signal);
  // sizes are part of the bytes, and a model's own preprocessing is the same for all that it is shown
  const key = `${salt ?? ""}/${pictureHash(bytes)}/${plan.low ? "low" : "high"}`;
  const decode = () => metrics.time("decode", () => decoder.views(bytes, address.where, plan, signal));
  const named = `${model.name}/${key}`;
  const count = viewCounts.get(named);
  const known = count !== undefined && reader.has?.(key) === true;
  metrics.picture(known);
  if (known) return { key, count, views: decode };
  const views = await decode();
  if (viewCounts.size >= mostCounts) viewCounts.clear();
  viewCounts.set(named, views.length);
  return { key, count: views.length, views: () => views };
}

/** Shows a picture to the tower, unless it has seen it. One that another request is reading is read again if that leaves. */
export async function readPicture(
  { assistant: { sight } }: ServedModel,
  picture: ReadyPicture,
  signal: AbortSignal,
): Promise<PictureTokens> {
  for (;;) {
    try {
      return await sight!.reader.read(picture.key, () => {
        signal.throwIfAborted();
        return picture.views();
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Error && error.name === "AbortError")) throw error;
    }
  }
}
