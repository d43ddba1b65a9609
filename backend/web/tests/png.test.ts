import { describe, expect, test } from "vitest";
import type { Mask } from "../src/masks/mask";
import { crc32, decodeGray, encodeGray } from "../src/masks/png";

/** Deterministic noise of the three labels. */
function noise(width: number, height: number, seed = 1): Mask {
  let state = seed;
  const data = Uint8Array.from({ length: width * height }, () => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return [0, 127, 255][(state >> 16) % 3]!;
  });
  return { width, height, data };
}

const bytes = (base64: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

describe("a mask through PNG", () => {
  test.each([
    [256, 256],
    [1, 1],
    [3, 7],
  ])("comes back bit for bit at %i×%i", async (width, height) => {
    const mask = noise(width, height);
    expect(await decodeGray(await encodeGray(mask))).toEqual(mask);
  });

  test("is written as 8-bit grayscale without interlace", async () => {
    const png = await encodeGray(noise(256, 200));
    const view = new DataView(png.buffer);
    expect(String.fromCharCode(...png.subarray(12, 16))).toBe("IHDR");
    expect([view.getUint32(16), view.getUint32(20)]).toEqual([256, 200]);
    expect([...png.subarray(24, 29)]).toEqual([8, 0, 0, 0, 0]);
    expect(view.getUint32(29)).toBe(crc32(png.subarray(12, 29)));
  });

  test("the checksum is the standard CRC-32", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
  });
});

/** The same 8×6 ramp, written by Pillow in several modes and with each row filter. */
const PILLOW: [string, string, string][] = [
  [
    "mode L",
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAAAAADbboAnAAAAIElEQVR4nGNkUIUARl0ogwXC0IUydKEiuqqqqowPoWoAwTUHz++AgTQAAAAASUVORK5CYII=",
    "gray",
  ],
  [
    "mode 1",
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGAQAAAADWfuJWAAAAFElEQVR4nGPgY+JjkmH4yPSJaQkACkcCyISUdAYAAAAASUVORK5CYII=",
    "bits",
  ],
  [
    "mode RGB",
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAIAAABxZ0isAAAATklEQVR4nFXMwQnAMAwDwATylAnY0Eygp5d1h/F6faRt8FNCp95ao4IGqtBABU0Y2f2aJ+9FJE2Gr1lEpK9JlVHE26KK0+ITd1KxH379ALQaFAsxFwxQAAAAAElFTkSuQmCC",
    "gray",
  ],
  [
    "mode LA",
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAQAAABUDBdwAAAAJ0lEQVR4nGNk+K96Gxky6l5CFWDRvYzg6F5GEYCw4AIwmvGhHKoZAIMWMA34L9eyAAAAAElFTkSuQmCC",
    "gray",
  ],
  [
    "filter none",
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAAAAADbboAnAAAAQUlEQVR4nAE2AMn/AAAlSm+Uud4DAC1Sd5zB5gswAFp/pMnuEzhdAIes0fYbQGWKALTZ/iNIbZK3AOEGK1B1mr/kTYwXYb2FZAMAAAAASUVORK5CYII=",
    "gray",
  ],
  [
    "filter sub",
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAAAAADbboAnAAAAG0lEQVR4nGNkUIUARl0YIwrGaIcxtsAYD6EMANaMCLxMjlAhAAAAAElFTkSuQmCC",
    "gray",
  ],
  [
    "filter up",
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAAAAADbboAnAAAAF0lEQVR4nGNiUPXKn7LzHjOTLhQQwwAANDMKIYxmzjoAAAAASUVORK5CYII=",
    "gray",
  ],
  [
    "filter average",
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAAAAADbboAnAAAAI0lEQVR4nGNmULXwis1vmsKsqwkBzC4wRhSMUQhjtGuuBDMAIOYKejYbUuQAAAAASUVORK5CYII=",
    "gray",
  ],
  [
    "filter paeth",
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAAAAADbboAnAAAAHUlEQVR4nGNhUIUAFl0IrQtl6EJFdKFSulA1YEEAvikHNA0ZV3EAAAAASUVORK5CYII=",
    "gray",
  ],
];

describe("PNGs of other writers (Pillow)", () => {
  const expected = Uint8Array.from(
    { length: 48 },
    (_, i) => (i * 37 + Math.floor(i / 8) * 5) % 256,
  );
  test.each(PILLOW)("%s", async (_name, png, kind) => {
    const mask = await decodeGray(bytes(png));
    expect([mask.width, mask.height]).toEqual([8, 6]);
    const wanted = kind === "bits" ? expected.map((value) => (value >= 128 ? 255 : 0)) : expected;
    expect([...mask.data]).toEqual([...wanted]);
  });

  test("a file that is no PNG, or cut short, is an error", async () => {
    await expect(decodeGray(bytes(btoa("GIF89a..........")))).rejects.toThrow("not a PNG");
    const png = await encodeGray(noise(64, 64));
    await expect(decodeGray(png.slice(0, png.length / 2))).rejects.toThrow();
  });
});
