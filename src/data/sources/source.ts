// What a teacher reads from: captioned pictures, wherever they come from.
import type { CaptionedPicture } from "../sample.ts";

/** Opened and checked: every picture it gives has a file. Adding a kind is one file with a function that returns this. */
export interface Source {
  readonly kind: "folder" | "coco" | "llava";
  /** the folder that pictures' paths are relative to */
  readonly imagesRoot: string;
  /** how many pictures it gives */
  readonly count: number;
  /** what was left out and why, as sentences for a person */
  readonly notes: readonly string[];
  pictures(): AsyncIterable<CaptionedPicture>;
}

export interface SourceOptions {
  /** the images folder; found beside the captions unless told */
  readonly images?: string;
  /** what to do about pictures whose file is missing; refuse unless told */
  readonly missing?: "refuse" | "skip";
}

/** Captions and boxes by picture, in the order of appearance; an adapter fills it row by row. */
export class Gathered {
  readonly #pictures = new Map<string, { captions: string[]; objects?: CaptionedPicture["objects"] }>();

  /** Adds what one row says; equal captions count once, objects of several rows are joined. */
  add(image: string, captions: readonly string[], objects?: CaptionedPicture["objects"]): void {
    let known = this.#pictures.get(image);
    if (known === undefined) this.#pictures.set(image, (known = { captions: [] }));
    for (const caption of captions) {
      const text = caption.trim();
      if (text !== "" && !known.captions.includes(text)) known.captions.push(text);
    }
    if (objects !== undefined) known.objects = [...(known.objects ?? []), ...objects];
  }

  images(): string[] {
    return [...this.#pictures.keys()];
  }

  delete(image: string): void {
    this.#pictures.delete(image);
  }

  /** The pictures; ids are file names without folder and ending where those are unique, else whole paths. */
  list(): CaptionedPicture[] {
    const stems = new Map<string, number>();
    for (const image of this.#pictures.keys()) stems.set(stem(image), (stems.get(stem(image)) ?? 0) + 1);
    return [...this.#pictures].map(([image, { captions, objects }]) => ({
      id: stems.get(stem(image)) === 1 ? stem(image) : image,
      image,
      captions,
      ...(objects !== undefined && { objects }),
    }));
  }
}

function stem(image: string): string {
  return image.slice(image.lastIndexOf("/") + 1).replace(/\.[^.]+$/, "");
}

/** A source over what was gathered. */
export function sourceOf(
  kind: Source["kind"],
  imagesRoot: string,
  gathered: Gathered,
  notes: readonly string[],
): Source {
  const list = gathered.list();
  return {
    kind,
    imagesRoot,
    count: list.length,
    notes,
    // oxlint-disable-next-line require-await -- the interface lets sources read as they go
    async *pictures() {
      yield* list;
    },
  };
}
