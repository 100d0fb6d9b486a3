// TFRecord framing (tensorflow.org/tutorials/load_data/tfrecord): length, its checksum, data, its checksum.
import { crc32c } from "./crc32c.ts";

const FRAME = 16;

/** One record, ready to be appended: uint64 length, masked CRC-32C of it, the data, masked CRC-32C of the data. */
export function encodeTfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + FRAME);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return record;
}

/** The format rotates and shifts its checksums, as data may hold checksums itself. */
function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
