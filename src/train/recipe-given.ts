// Optional keys: there when they have a value, absent (and not undefined) when they have none.

/** `{ key: value }`, or nothing where the author gave none. */
export function given<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}
