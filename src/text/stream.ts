// Incremental decoding: text as soon as it is certain, never half a character.

/** Takes ids one at a time and gives the text that has become certain. */
export interface DecodingStream {
  /** the next id; returns new text, "" while a character is incomplete */
  push(id: number): string;
  /** what is left, an incomplete character as U+FFFD */
  end(): string;
}

/**
 * A stream over any decoder. It decodes a window of ids again and again and holds back a trailing run of U+FFFD, which
 * may be the beginning of a character whose last bytes are still to come (at most three bytes: three marks).
 */
export function createDecodingStream(decode: (ids: readonly number[]) => string): DecodingStream {
  // the window starts with an id whose text is out already: decoders treat the very first token differently
  let window: number[] = [];
  let emitted = 0;
  const emit = (text: string, upTo: number): string => {
    const fresh = text.slice(emitted, upTo);
    emitted = Math.max(emitted, upTo);
    return fresh;
  };
  return {
    push(id) {
      window.push(id);
      const text = decode(window);
      const held = /\uFFFD{0,3}$/u.exec(text)?.[0].length ?? 0;
      const fresh = emit(text, text.length - held);
      if (held === 0 && decode([id]).length > 0) {
        window = [id];
        emitted = decode(window).length;
      }
      return fresh;
    },
    end() {
      const text = decode(window);
      const rest = emit(text, text.length);
      window = [];
      emitted = 0;
      return rest;
    },
  };
}
