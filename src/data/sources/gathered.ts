// What the rows of a source say, by picture: words lie in a spool, memory holds some hundred bytes a picture.
import type { BoxedObject, CaptionedPicture } from "../sample.ts";
import { NameIndex } from "./name-index.ts";
import { Spool } from "./spool.ts";

/** What one row adds to a picture. */
export interface Said {
  readonly captions?: readonly string[];
  readonly objects?: readonly BoxedObject[] | undefined;
  readonly regions?: readonly BoxedObject[] | undefined;
}

/** Captions and boxes by picture, in the order of appearance; an adapter fills it row by row. */
export class Gathered {
  readonly #spool = new Spool();
  /** picture → place; file name without folder and ending → how many have it */
  readonly #places = new NameIndex();
  readonly #stems = new NameIndex();
  /** by picture: its name, and its first and last row */
  readonly #names = new Numbers(2);
  readonly #rows = new Numbers(2);
  /** by row: where it lies, and the picture's next row */
  readonly #said = new Numbers(3);
  /** by picture: whether its file was seen */
  #present = new Uint8Array(1024);
  #left = 0;
  #onlyPresent = false;
  readonly #partial: boolean;

  /** `partial`: boxes may lack things, see `CaptionedPicture` */
  constructor({ partial = false }: { readonly partial?: boolean } = {}) {
    this.#partial = partial;
  }

  /** Adds what one row says; equal captions count once, objects of several rows are joined. */
  add(image: string, said: Said = {}): void {
    let place = this.#places.get(image);
    if (place === undefined) {
      place = this.#places.size;
      this.#places.set(image, place);
      this.#stems.set(stem(image), (this.#stems.get(stem(image)) ?? 0) + 1);
      const { offset, length } = this.#spool.append(image);
      this.#names.push(offset, length);
      this.#rows.push(NONE, NONE);
    }
    const { captions = [], objects, regions } = said;
    if (captions.length === 0 && objects === undefined && regions === undefined) return;
    const { offset, length } = this.#spool.append(JSON.stringify([captions, objects ?? null, regions ?? null]));
    const row = this.#said.push(offset, length, NONE);
    const last = this.#rows.get(place, 1);
    if (last === NONE) this.#rows.set(place, 0, row);
    else this.#said.set(last, 2, row);
    this.#rows.set(place, 1, row);
  }

  /** pictures in all, those left out by `keepPresent` not counted */
  get size(): number {
    return this.#onlyPresent ? this.#left : this.#places.size;
  }

  has(image: string): boolean {
    return this.#places.get(image) !== undefined;
  }

  /** Names in order of appearance, whether or not they are left out. */
  *images(): Generator<string> {
    for (let place = 0; place < this.#places.size; place++) yield this.#name(place);
  }

  /** A few names, spread over all. */
  some(most: number): string[] {
    const step = Math.max(1, Math.floor(this.#places.size / most));
    const count = Math.min(most, this.#places.size);
    return Array.from({ length: count }, (_, i) => this.#name(i * step));
  }

  /** Tells that a picture's file is there; names that nothing was said of are passed over. */
  seen(image: string): void {
    const place = this.#places.get(image);
    if (place === undefined) return;
    if (this.#present.length < this.#places.size) {
      const larger = new Uint8Array(2 * this.#places.size);
      larger.set(this.#present);
      this.#present = larger;
    }
    if (this.#present[place] === 0) this.#left++;
    this.#present[place] = 1;
  }

  /** The names whose file was not seen. */
  *missing(): Generator<string> {
    for (let place = 0; place < this.#places.size; place++) {
      if (this.#present[place] !== 1) yield this.#name(place);
    }
  }

  /** From now on gives only pictures whose file was seen. */
  keepPresent(): void {
    this.#onlyPresent = true;
  }

  /** The pictures; ids are file names without folder and ending where those are unique, else whole paths. */
  *pictures(): Generator<CaptionedPicture> {
    for (let place = 0; place < this.#places.size; place++) {
      if (!this.#onlyPresent || this.#present[place] === 1) yield this.#picture(place);
    }
  }

  #picture(place: number): CaptionedPicture {
    const image = this.#name(place);
    const captions = new Set<string>();
    let objects: BoxedObject[] | undefined;
    let regions: BoxedObject[] | undefined;
    for (let row = this.#rows.get(place, 0); row !== NONE; row = this.#said.get(row, 2)) {
      const text = this.#spool.read(this.#said.get(row, 0), this.#said.get(row, 1));
      const [said, boxes, parts] = JSON.parse(text) as [string[], BoxedObject[] | null, BoxedObject[] | null];
      for (const caption of said) if (caption.trim() !== "") captions.add(caption.trim());
      if (boxes !== null) objects = [...(objects ?? []), ...boxes];
      if (parts !== null) regions = [...(regions ?? []), ...parts];
    }
    return {
      id: this.#stems.get(stem(image)) === 1 ? stem(image) : image,
      image,
      captions: [...captions],
      ...(objects !== undefined && { objects }),
      ...(regions !== undefined && { regions }),
      ...(this.#partial && { partial: true }),
    };
  }

  #name(place: number): string {
    return this.#spool.read(this.#names.get(place, 0), this.#names.get(place, 1));
  }
}

const NONE = -1;

/** Records of whole numbers that grow. */
class Numbers {
  readonly #width: number;
  #values = new Float64Array(1024);
  #count = 0;

  constructor(width: number) {
    this.#width = width;
  }

  /** Returns the record's place. */
  push(...record: readonly number[]): number {
    const at = this.#count * this.#width;
    if (at + this.#width > this.#values.length) {
      // half as much again: doubling would leave up to half of it empty
      const larger = new Float64Array(Math.ceil(this.#values.length * 1.5));
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values.set(record, at);
    return this.#count++;
  }

  get(place: number, field: number): number {
    return this.#values[place * this.#width + field] as number;
  }

  set(place: number, field: number, value: number): void {
    this.#values[place * this.#width + field] = value;
  }
}

function stem(image: string): string {
  return image.slice(image.lastIndexOf("/") + 1).replace(/\.[^.]+$/, "");
}
