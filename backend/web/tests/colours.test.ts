import { expect, test } from "vitest";
import type { Label } from "../src/api/types";
import { colourOf } from "../src/her2/words";

/** Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB. */
const VISION: Record<string, number[][]> = {
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
  everybody: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
};

const times = (matrix: number[][], vector: number[]): number[] =>
  matrix.map((row) => row.reduce((sum, value, i) => sum + value * vector[i]!, 0));

function linear(hex: string): number[] {
  return [1, 3, 5].map((at) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
}

/** CIELAB under D65. */
function lab(rgb: number[]): number[] {
  const seen = rgb.map((value) => Math.min(Math.max(value, 0), 1));
  const xyz = times(
    [
      [0.4124, 0.3576, 0.1805],
      [0.2126, 0.7152, 0.0722],
      [0.0193, 0.1192, 0.9505],
    ],
    seen,
  );
  const [x, y, z] = xyz.map((value, i) => {
    const t = value / [0.9505, 1, 1.089][i]!;
    return t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116;
  }) as [number, number, number];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

test.each(Object.keys(VISION))("intensities are told apart with %s", (kind) => {
  const labels: Label[] = ["N", "FC", "WC", "MC", "IC"];
  const seen = labels.map((label) => lab(times(VISION[kind]!, linear(colourOf(label)))));
  seen.forEach((one, i) => {
    for (let j = i + 1; j < seen.length; j += 1) {
      const away = Math.hypot(...one.map((value, axis) => value - seen[j]![axis]!));
      expect(away, `${labels[i]} and ${labels[j]}`).toBeGreaterThan(25);
    }
  });
});
