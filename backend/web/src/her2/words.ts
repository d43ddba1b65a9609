/** How the page says what scores and reports code: the words are those of the report's pages. */

import type { IshField } from "./ish";
import type { Label, LiveScore, RegionKind, ReportState } from "../api/types";
import type { CellsInView } from "./cells";

type StopState = Pick<LiveScore, "printed_score" | "stop">;

export const REGION_KINDS: readonly RegionKind[] = ["tumour", "exclude", "artefact"];
export const REGION_WORDS: Record<RegionKind, string> = {
  tumour: "Tumour",
  exclude: "Exclude",
  artefact: "Artefact",
};
/** Colour and dash: each kind is known without its colour. */
export const REGION_LINES: Record<RegionKind, { colour: string; dash: number[] }> = {
  tumour: { colour: "#4aa8ff", dash: [] },
  exclude: { colour: "#ffffff", dash: [9, 5] },
  artefact: { colour: "#ffb13d", dash: [2, 4] },
};

export const LABELS: readonly Label[] = ["N", "FP", "FC", "WP", "WC", "MP", "MC", "IP", "IC"];
export const LABEL_WORDS: Record<Label, string> = {
  N: "No staining",
  FP: "Faint, partial",
  FC: "Faint, complete",
  WP: "Weak, partial",
  WC: "Weak, complete",
  MP: "Moderate, partial",
  MC: "Moderate, complete",
  IP: "Intense, partial",
  IC: "Intense, complete",
};

/**
 * By intensity, to be told apart on brown and blue tissue and with any colour vision: lightness
 * and hue both change, and a partial membrane is dashed.
 */
const INTENSITY_COLOURS: Record<string, string> = {
  N: "#c9d3dd",
  F: "#2f7bff",
  W: "#00c853",
  M: "#ffd400",
  I: "#e5007a",
};
export const colourOf = (label: Label): string => INTENSITY_COLOURS[label[0]!]!;
export const isPartial = (label: Label): boolean => label.endsWith("P");

export const PROTOCOLS: readonly [string, string][] = [
  ["asco_cap_2023_breast", "Breast (ASCO-CAP 2023)"],
  ["hercep_gastric_resection", "Gastric resection (HercepTest)"],
  ["hercep_gastric_biopsy", "Gastric biopsy (HercepTest)"],
];
export const protocolTitle = (name: string): string =>
  PROTOCOLS.find(([known]) => known === name)?.[1] ?? plain(name);
/** Only the breast guideline leaves a pattern open, and has a 0+. */
export const takesGap = (protocol: string): boolean => protocol === "asco_cap_2023_breast";

export const REPORT_WORDS: Record<ReportState, string> = {
  computing: "Computing",
  draft: "Draft",
  signed: "Signed",
  superseded: "Superseded",
  failed: "Failed",
};

export const TEST_WORDS: Record<string, string> = {
  intense_complete_gt10: "Intense, complete",
  weak_moderate_complete_gt10: "Weak to intense, complete",
  moderate_intense_incomplete_gt10: "… or moderate to intense, incomplete",
  intense_complete_le10: "Intense, complete: more than chance",
  faint_incomplete_gt10: "Any membrane staining",
  gap_pattern: "Complete, or moderate to intense: more than chance",
  faint_incomplete_le10: "Any staining: more than chance",
  intense_ge10: "Intense, complete or lateral",
  weak_moderate_ge10: "Weak to intense, complete or lateral",
  faint_ge10: "Any membrane staining",
  intense_cluster: "Intense, in clusters",
  weak_moderate_cluster: "Weak to intense, in clusters",
  faint_cluster: "Any staining, in clusters",
};

/** Of what a person says of the staining. */
export const STAINING_WORDS = {
  merge_zero_plus: "Print 0+ as 0",
  cytoplasm_obscures: "Cytoplasm hides membranes",
};
export const ISH_METHODS = ["dual probe", "single probe"] as const;
export const ISH_RESULTS = ["positive", "negative", "equivocal", "not determined"] as const;
export const ISH_WORDS: Record<IshField, string> = {
  method: "Method",
  result: "Result",
  ratio: "Ratio HER2/CEP17",
  copies: "Copies a nucleus",
  group: "Group",
  cells: "Nuclei counted",
  read_by: "Read by",
};

const FLAG_WORDS: Record<string, string> = {
  no_tumour_region: "No tumour region",
  mpp_missing: "Pixel size unknown",
  fluorescence: "Fluorescence image",
  colour: "Not the colours of haematoxylin and DAB",
  control_failed: "Control tissue failed",
  resolution: "Resolution too coarse for low categories",
  whole_as_tumour: "Every nucleus counted as tumour",
  below_detection_limit: "Staining below the detection limit",
  intense_below_detection: "Intense cells: too few to tell from chance",
  gap_pattern: "Pattern the guideline does not name",
  calibration_detector: "Calibrated with another nucleus detector",
  cells_100_500: "Few cells",
  tiles_lt_30: "Few fields",
  not_contiguous: "Intense cells are scattered",
  intense_below_cut: "Intense cells, too few for a higher category",
  control_missing: "Controls not stated",
  antibody_missing: "Antibody not stated",
  out_of_focus: "Parts out of focus",
  stain_residual: "Colour that is neither stain",
  white_point: "Background is not white",
  cytoplasm: "Brown cytoplasm",
  cytoplasm_obscures: STAINING_WORDS.cytoplasm_obscures,
  nuclear_brown: "Brown nuclei",
  edge_effect: "Other staining at the edge",
  nuclei_density: "Unusual number of nuclei",
  mask_uncertain: "Membranes uncertain",
  thresholds_changed: "What-if: thresholds changed",
};
export const flagWords = (code: string): string => FLAG_WORDS[code] ?? plain(code);

/** A code without words of its own is shown with its underscores as spaces. */
export function plain(code: string): string {
  const text = code.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Percent as a reader wants it: one decimal below ten, none needed above. */
export function percent(value: number | null | undefined): string {
  if (value == null) return "–";
  if (value > 0 && value < 0.05) return "<0.1";
  return value !== 0 && value < 9.95 ? value.toFixed(1) : String(Math.round(value));
}

/** An area in mm², always: a small one with as many digits as it takes to be one. */
export function mm2(value: number): string {
  if (value >= 0.1 || value === 0) return `${value.toFixed(2)} mm²`;
  return `${value.toLocaleString("en", { maximumSignificantDigits: 2, useGrouping: false })} mm²`;
}

const SCORE_COLOURS: Record<string, string> = {
  "0": "#7f95ac",
  "0+": "#cfcfa0",
  "1+": "#efcf5e",
  "2+": "#f08f36",
  "3+": "#e5484d",
};
/** Warmer with the category, as in the report; readable on dark. */
export const scoreColour = (score: string): string => SCORE_COLOURS[score] ?? "#8b969d";

/** How many cells the view holds; no number before it is known. */
export function inViewWords({ cells, total, far, state }: CellsInView): string {
  const shown = cells.length;
  if (far) return "Zoom in to see the cells.";
  if (state === "reading") return "Reading the cells in view…";
  if (state === "failed") return "The cells in view could not be read.";
  if (shown === 0) return "No cells in view.";
  if (shown < total) {
    return `${shown.toLocaleString("en")} of ${total.toLocaleString("en")} cells in view; zoom in for all.`;
  }
  return `${shown.toLocaleString("en")} ${shown === 1 ? "cell" : "cells"} in view.`;
}

/** The rule to stop in a few words; null where there is none or no category. */
export function stopWords({ printed_score, stop }: StopState): string | null {
  if (!stop || stop.confidence === null) return null;
  const { met, confidence, places_left } = stop;
  if (met) return `You may stop: ${printed_score} stands (${Math.floor(100 * confidence)} %)`;
  const left = places_left.length;
  if (left === 0) return `${printed_score} is not sure (${Math.floor(100 * confidence)} %)`;
  return `${left} ${left === 1 ? "place" : "places"} left for ${printed_score}`;
}
