// Lines of a stream of bytes, each numbered; one that is too long or no UTF-8 does not end the others.

export type BatchLine = { readonly number: number } & (
  | { readonly text: string }
  /** what it should have been */
  | { readonly problem: string }
);

/** bytes of a line; a question is far shorter */
const longest = 2 ** 20;

/** Splits at line feeds; the last line may lack one. */
export async function* splitLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<BatchLine> {
  let parts: Uint8Array[] = [];
  let [number, size] = [0, 0];
  const take = (): BatchLine => {
    const line = lineOf(++number, parts, size);
    [parts, size] = [[], 0];
    return line;
  };
  const keep = (part: Uint8Array): void => {
    size += part.length;
    if (size <= longest) parts.push(part);
  };
  for await (const chunk of bytes) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      keep(chunk.subarray(start, end));
      start = end + 1;
      yield take();
    }
    keep(chunk.subarray(start));
  }
  if (size > 0) yield take();
}

function lineOf(number: number, parts: readonly Uint8Array[], size: number): BatchLine {
  if (size > longest) return { number, problem: `a line of at most ${longest} bytes` };
  try {
    // a mark of byte order at the beginning is no part of the text
    return { number, text: new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts)) };
  } catch {
    return { number, problem: "UTF-8" };
  }
}
