// The part of the WebAssembly JavaScript interface that we use; the compiler's settings know only the language itself.

/** Bytes of one page, the unit of a memory's size. */
export const page = 65536;

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}
export type WasmModule = object;

interface Interface {
  readonly Memory: new (limits: { readonly initial: number; readonly maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports: { readonly env: { readonly memory: WasmMemory } },
  ) => { readonly exports: Readonly<Record<string, unknown>> };
}

export const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: Interface };
