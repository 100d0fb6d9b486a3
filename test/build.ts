// Before the tests: dist/ is brought up to date, because the engine's thread runs the built files (Node 20 runs no TypeScript).
interface Builder {
  readonly isStale: () => boolean;
  readonly build: () => string;
}

/** Builds when a source is newer than dist/; type errors are for `npm run check`, what was emitted still runs. */
export async function setup(): Promise<void> {
  const script = new URL("../scripts/build.mjs", import.meta.url).href;
  const { isStale, build } = (await import(script)) as Builder;
  if (isStale()) build();
}
