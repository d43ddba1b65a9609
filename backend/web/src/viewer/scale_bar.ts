/** A scale bar's round length for a zoom. */

export interface ScaleBar {
  /** Length in CSS px and what it stands for. */
  width: number;
  text: string;
  /** The view is larger than the slide's own resolution. */
  beyond: boolean;
}

/** The longest of 1, 2, 5 · 10ⁿ µm that is at most `longest` CSS px; `scale` is CSS px per level-0 px. */
export function scaleBar(mpp: number, scale: number, longest = 140): ScaleBar | null {
  const umPerCss = mpp / scale;
  if (!(umPerCss > 0) || !Number.isFinite(umPerCss)) return null;
  const room = umPerCss * longest;
  const power = 10 ** Math.floor(Math.log10(room));
  const length = [5, 2, 1].map((step) => step * power).find((um) => um <= room * (1 + 1e-9))!;
  const text = length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(1))} µm`;
  return { width: length / umPerCss, text, beyond: scale > 1.001 };
}
