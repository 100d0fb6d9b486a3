// Samples about the same pictures as one document: one copy of all up to the last picture, then each text as a branch.
// Legend: a group is the samples of one document; its prefix is what they share.
import { createHash } from "node:crypto";
import { IGNORE_LABEL } from "../text/expand.ts";
import type { EncodedSample } from "./encode.ts";

export interface Sharing {
  /** samples of a document */
  readonly most: number;
  /** tokens of a document; a group that is longer becomes several */
  readonly longest: number;
}

/** Tokens up to the end of the last picture; 0 where nothing can be shared: no picture, or something learned before it. */
function prefixOf({ ids, labels, imageRuns }: EncodedSample): number {
  const last = imageRuns.at(-1);
  if (last === undefined) return 0;
  const end = last.start + last.length;
  // what is learned counts once a sample: shared, it would count once a group
  return end < ids.length && labels.subarray(0, end).every((label) => label === IGNORE_LABEL) ? end : 0;
}

/** Equal for samples whose pictures and prefixes are; undefined for a sample that shares with none. */
function keyOf(sample: EncodedSample): string | undefined {
  const end = prefixOf(sample);
  if (end === 0) return undefined;
  return createHash("sha256")
    .update(JSON.stringify(sample.images))
    .update(sample.ids.subarray(0, end))
    .digest("base64");
}

/**
 * Which samples may share: equal numbers for those that may, -1 for those that share with none. The second copy of a
 * sample (a weight of 2) goes with other second copies: a step that sees a sample twice learns it twice as hard.
 */
export function sharedKeys(samples: readonly EncodedSample[]): Int32Array {
  const copies = new Map<EncodedSample, number>();
  const numbers = new Map<string, number>();
  return Int32Array.from(samples, (sample) => {
    const key = keyOf(sample);
    if (key === undefined) return -1;
    const copy = copies.get(sample) ?? 0;
    copies.set(sample, copy + 1);
    const name = `${key} ${copy}`;
    const number = numbers.get(name) ?? numbers.size;
    numbers.set(name, number);
    return number;
  });
}

/** Where the samples of an epoch stand in its steps. */
export interface Places {
  readonly most: number;
  readonly batchSize: number;
  /** samples of the step before which the epoch's first one comes */
  readonly start: number;
}

/**
 * An order in which samples that may share stand side by side: each takes the next ones of its key with it, up to
 * `most` in all and no more than its step has room for. All else stays in its order.
 * @param keys by sample, as `sharedKeys` gives them
 */
export function sharedOrder(order: Int32Array, keys: Int32Array, { most, batchSize, start }: Places): Int32Array {
  const waiting = new Map<number, { readonly samples: number[]; next: number }>();
  for (const sample of order) {
    const key = keys[sample]!;
    if (key < 0) continue;
    const group = waiting.get(key);
    if (group === undefined) waiting.set(key, { samples: [sample], next: 0 });
    else group.samples.push(sample);
  }
  const taken = new Uint8Array(order.length);
  const gathered = new Int32Array(order.length);
  let at = 0;
  for (const sample of order) {
    if (taken[sample] === 1) continue;
    const group = waiting.get(keys[sample]!);
    const room = batchSize - ((start + at) % batchSize);
    // the first of a key that was not taken is the next one of its group
    const members = group?.samples.slice(group.next, group.next + Math.min(most, room)) ?? [sample];
    if (group) group.next += members.length;
    for (const member of members) {
      taken[member] = 1;
      gathered[at++] = member;
    }
  }
  return gathered;
}

/** Samples that will be one document each; a group takes the place of its first sample. */
export function groupSamples(samples: readonly EncodedSample[], { most, longest }: Sharing): EncodedSample[][] {
  const groups: EncodedSample[][] = [];
  const open = new Map<string, { readonly members: EncodedSample[]; length: number }>();
  for (const sample of samples) {
    const key = keyOf(sample);
    const group = key === undefined ? undefined : open.get(key);
    const added = sample.ids.length - prefixOf(sample);
    if (group !== undefined && group.members.length < most && group.length + added <= longest) {
      group.members.push(sample);
      group.length += added;
      continue;
    }
    const members = [sample];
    groups.push(members);
    if (key !== undefined) open.set(key, { members, length: sample.ids.length });
  }
  return groups;
}

/** A group as one document: the prefix once, then what is left of each sample. A sample alone stays as it is. */
export function joinGroup(group: readonly EncodedSample[]): EncodedSample {
  const first = group[0]!;
  if (group.length === 1) return first;
  const prefix = prefixOf(first);
  const branches: number[] = [];
  const length = group.reduce((sum, { ids }) => sum + ids.length - prefix, prefix);
  const [ids, labels] = [new Int32Array(length), new Int32Array(length)];
  ids.set(first.ids.subarray(0, prefix));
  labels.fill(IGNORE_LABEL, 0, prefix);
  let at = prefix;
  for (const sample of group) {
    branches.push(at);
    ids.set(sample.ids.subarray(prefix), at);
    labels.set(sample.labels.subarray(prefix), at);
    at += sample.ids.length - prefix;
  }
  return { ...first, id: group.map(({ id }) => id).join(", "), ids, labels, branches };
}

/** Samples as documents: `groupSamples`, each joined. */
export function shareSamples(samples: readonly EncodedSample[], sharing: Sharing): EncodedSample[] {
  return groupSamples(samples, sharing).map(joinGroup);
}
