/**
 * 8-bit grayscale PNG, written and read without a canvas: a canvas would save RGBA and may
 * round values through colour management, and a mask's values are labels, not colours.
 * PNG (W3C Recommendation, third edition) sections 5 (chunks), 9 (filters), 10 (zlib).
 */

import type { Mask } from "./mask";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 4: 2, 6: 4 };

export async function encodeGray(mask: Mask): Promise<Uint8Array<ArrayBuffer>> {
  const rows = new Uint8Array((mask.width + 1) * mask.height); // filter byte 0 before each row
  for (let y = 0; y < mask.height; y++) {
    const row = mask.data.subarray(y * mask.width, (y + 1) * mask.width);
    rows.set(row, y * (mask.width + 1) + 1);
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, mask.width);
  view.setUint32(4, mask.height);
  header.set([8, 0, 0, 0, 0], 8); // 8 bits, grayscale, deflate, standard filters, no interlace
  return join([
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", header),
    chunk("IDAT", await piped(rows, new CompressionStream("deflate"))),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

/** Read the first channel of a PNG of up to 8 bits without palette or interlace, scaled to 0-255. */
export async function decodeGray(png: Uint8Array<ArrayBuffer>): Promise<Mask> {
  if (SIGNATURE.some((byte, i) => png[i] !== byte)) throw new Error("This is not a PNG.");
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let width = 0;
  let height = 0;
  let bits = 8;
  let channels = 1;
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 8; at + 8 <= png.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...png.subarray(at + 4, at + 8));
    const body = png.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
      bits = body[8]!;
      channels = CHANNELS[body[9]!] ?? 0;
      if (!channels || bits > 8 || body[12] !== 0) throw new Error("This kind of PNG is not read.");
    }
    if (kind === "IDAT") parts.push(body);
    at += length + 12;
  }
  const raw = await piped(join(parts), new DecompressionStream("deflate"));
  const stride = Math.ceil((width * channels * bits) / 8);
  if (raw.length < (stride + 1) * height) throw new Error("This PNG is cut short.");
  const rows = unfiltered(raw, stride, height, Math.max(1, (channels * bits) >> 3));
  const data = new Uint8Array(width * height);
  const scale = 255 / (2 ** bits - 1);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * channels * bits;
      const byte = rows[y * stride + (bit >> 3)]!;
      const value = (byte >> (8 - bits - (bit & 7))) & (2 ** bits - 1);
      data[y * width + x] = Math.round(value * scale);
    }
  }
  return { width, height, data };
}

/** Undo the row filters (section 9.2); `reach` is the distance in bytes to the pixel on the left. */
function unfiltered(raw: Uint8Array, stride: number, height: number, reach: number): Uint8Array {
  const rows = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let i = 0; i < stride; i++) {
      const a = i >= reach ? rows[y * stride + i - reach]! : 0;
      const b = y > 0 ? rows[(y - 1) * stride + i]! : 0;
      const c = i >= reach && y > 0 ? rows[(y - 1) * stride + i - reach]! : 0;
      const guess =
        filter === 1
          ? a
          : filter === 2
            ? b
            : filter === 3
              ? (a + b) >> 1
              : filter === 4
                ? paeth(a, b, c)
                : 0;
      rows[y * stride + i] = raw[y * (stride + 1) + 1 + i]! + guess;
    }
  }
  return rows;
}

function paeth(a: number, b: number, c: number): number {
  const p = a + b - c;
  const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

function chunk(kind: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(body.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, body.length);
  bytes.set(
    [...kind].map((letter) => letter.charCodeAt(0)),
    4,
  );
  bytes.set(body, 8);
  view.setUint32(body.length + 8, crc32(bytes.subarray(4, body.length + 8)));
  return bytes;
}

export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

async function piped(
  bytes: Uint8Array<ArrayBuffer>,
  through: CompressionStream | DecompressionStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(through);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function join(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
