// Near-duplicates over a whole run, by MinHash: the same text under another picture teaches nothing about either.

/** 12 hashes in 3 bands of 4: of two texts that share 95 % of their word triples nearly all are met, of 80 % four in five. */
const bands = 3;
const rows = 4;
const hashes = bands * rows;
/** Of the hashes, so many must agree. */
const fewestEqual = 10;
/** Short answers repeat by nature: "Yes" is no duplicate of "Yes". */
const fewestWords = 20;
const shingle = 3;

/** Tells of each text whether one much like it was kept before; a million kept texts take some 100 MB. */
export class Repeats {
  #signatures = new Uint32Array(1024 * hashes);
  #count = 0;
  /** one table a band: hash of the band → one more than the text's place, open addressing */
  #capacity = 2048;
  #tables = Array.from({ length: bands }, () => new Uint32Array(this.#capacity));

  /** Whether the text repeats one that was kept; otherwise it is kept itself. */
  seen(text: string): boolean {
    const signature = signatureOf(text);
    if (signature === undefined) return false;
    for (let band = 0; band < bands; band++) {
      const table = this.#tables[band] as Uint32Array;
      for (let slot = this.#start(signature, band); table[slot] !== 0; slot = (slot + 1) & (this.#capacity - 1)) {
        if (this.#equal(signature, (table[slot] as number) - 1) >= fewestEqual) return true;
      }
    }
    this.#keep(signature);
    return false;
  }

  #keep(signature: Uint32Array): void {
    if ((this.#count + 1) * 2 > this.#capacity) this.#grow();
    this.#signatures.set(signature, this.#count * hashes);
    this.#put(this.#count++);
  }

  #put(place: number): void {
    const signature = this.#signatures.subarray(place * hashes, (place + 1) * hashes);
    for (const [band, table] of this.#tables.entries()) {
      let slot = this.#start(signature, band);
      while (table[slot] !== 0) slot = (slot + 1) & (this.#capacity - 1);
      table[slot] = place + 1;
    }
  }

  #grow(): void {
    this.#capacity *= 2;
    const larger = new Uint32Array((this.#capacity / 2) * hashes);
    larger.set(this.#signatures.subarray(0, this.#count * hashes));
    this.#signatures = larger;
    this.#tables = Array.from({ length: bands }, () => new Uint32Array(this.#capacity));
    for (let place = 0; place < this.#count; place++) this.#put(place);
  }

  #start(signature: Uint32Array, band: number): number {
    let key = band;
    for (let i = 0; i < rows; i++) key = mix(key ^ (signature[band * rows + i] as number));
    return key & (this.#capacity - 1);
  }

  #equal(signature: Uint32Array, place: number): number {
    let equal = 0;
    for (let i = 0; i < hashes; i++) if (signature[i] === this.#signatures[place * hashes + i]) equal++;
    return equal;
  }
}

/** The smallest of each hash over all word triples; undefined for texts that are too short. */
function signatureOf(text: string): Uint32Array | undefined {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  if (words.length < fewestWords) return undefined;
  const signature = new Uint32Array(hashes).fill(0xffffffff);
  for (let i = 0; i + shingle <= words.length; i++) {
    const base = hashOf(`${words[i]} ${words[i + 1]} ${words[i + 2]}`);
    for (let k = 0; k < hashes; k++) {
      const value = mix(base ^ Math.imul(k + 1, 0x9e3779b9)) >>> 0;
      if (value < (signature[k] as number)) signature[k] = value;
    }
  }
  return signature;
}

/** FNV-1a over UTF-16 units. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** MurmurHash3's finaliser. */
function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
