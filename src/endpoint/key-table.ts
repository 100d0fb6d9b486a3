// A table of request keys in typed arrays: a million keys with place and state take some 60 MB, as a Map they take 300.

/** What became of a request, by the last row about it. */
export type KeyState = "unknown" | "open" | "queued" | "answered" | "failed" | "doubt" | "again";

const states: readonly KeyState[] = ["unknown", "open", "queued", "answered", "failed", "doubt", "again"];
const codes = Object.fromEntries(states.map((state, code) => [state, code])) as Readonly<Record<KeyState, number>>;

/** Where a row lies in the ledger's file, in bytes. */
export interface Place {
  readonly offset: number;
  readonly length: number;
}

const words = 4;
/** Beyond this share of taken slots, probing gets slow. */
const fullest = 0.7;

/** Open addressing over 128-bit keys, given as 32 hexadecimal digits; a slot is free while its state is "unknown". */
export class KeyTable {
  #capacity = 1024;
  #size = 0;
  #keys = new Uint32Array(this.#capacity * words);
  #offsets = new Float64Array(this.#capacity);
  #lengths = new Uint32Array(this.#capacity);
  #states = new Uint8Array(this.#capacity);
  readonly #key = new Uint32Array(words);

  get size(): number {
    return this.#size;
  }

  state(key: string): KeyState {
    return states[this.#states[this.#find(key)] as number] as KeyState;
  }

  /** where the row of the last `set` with a place lies */
  place(key: string): Place | undefined {
    const slot = this.#find(key);
    const length = this.#lengths[slot] as number;
    return length === 0 ? undefined : { offset: this.#offsets[slot] as number, length };
  }

  set(key: string, state: KeyState, place?: Place): void {
    if (this.#size + 1 > this.#capacity * fullest) this.#grow();
    const slot = this.#find(key);
    if (this.#states[slot] === 0) {
      this.#keys.set(this.#key, slot * words);
      this.#size++;
    }
    this.#states[slot] = codes[state];
    if (place === undefined) return;
    this.#offsets[slot] = place.offset;
    this.#lengths[slot] = place.length;
  }

  #find(key: string): number {
    for (let i = 0; i < words; i++) this.#key[i] = Number.parseInt(key.slice(8 * i, 8 * i + 8), 16);
    return this.#probe();
  }

  /** the slot of `#key`, or the free one where it belongs */
  #probe(): number {
    const [keys, key, mask] = [this.#keys, this.#key, this.#capacity - 1];
    for (let slot = (key[0] as number) & mask; ; slot = (slot + 1) & mask) {
      if (this.#states[slot] === 0) return slot;
      let i = 0;
      while (i < words && keys[slot * words + i] === key[i]) i++;
      if (i === words) return slot;
    }
  }

  #grow(): void {
    const [keys, offsets, lengths, taken] = [this.#keys, this.#offsets, this.#lengths, this.#states];
    this.#capacity *= 2;
    this.#keys = new Uint32Array(this.#capacity * words);
    this.#offsets = new Float64Array(this.#capacity);
    this.#lengths = new Uint32Array(this.#capacity);
    this.#states = new Uint8Array(this.#capacity);
    for (const [old, state] of taken.entries()) {
      if (state === 0) continue;
      this.#key.set(keys.subarray(old * words, old * words + words));
      const slot = this.#probe();
      this.#keys.set(this.#key, slot * words);
      this.#offsets[slot] = offsets[old] as number;
      this.#lengths[slot] = lengths[old] as number;
      this.#states[slot] = state;
    }
  }
}
