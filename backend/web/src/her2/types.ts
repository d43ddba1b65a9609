/** The JSON of regions, scores, cells and reports, as far as the page reads it. */

import type { Point } from "../masks/mask";

export type RegionKind = "tumour" | "exclude" | "artefact";
export type Ring = [number, number][];

export interface RegionFeature {
  type: "Feature";
  id: string;
  geometry:
    { type: "Polygon"; coordinates: Ring[] } | { type: "MultiPolygon"; coordinates: Ring[][] };
  properties: { kind: RegionKind; name: string; area_um2: number };
}

export interface RegionSet {
  features: RegionFeature[];
  revision: number;
}

export type Label = "N" | "FP" | "FC" | "WP" | "WC" | "MP" | "MC" | "IP" | "IC";
export type ScoreName = "0" | "0+" | "1+" | "2+" | "3+" | "not assessable";
export type Gap = "0+" | "1+" | "2+";

/** A value with its 95 % interval; null where there is no cell. */
export interface Estimate {
  value: number | null;
  low: number | null;
  high: number | null;
}

export interface Flag {
  code: string;
  severity: "fatal" | "limiting" | "warning";
  detail: string;
}

/** How far a test of the decision table is from turning over. */
export interface Distance {
  test: string;
  score: string;
  percent_now: number;
  threshold: number;
  passed: boolean;
  cells_now: number;
  cells_needed: number;
  cells_to_flip: number;
}

/** What decides the class of a cell; the first four in log10 optical density. */
export interface Thresholds {
  t_faint: number;
  t_weak: number;
  t_moderate: number;
  t_intense: number;
  c_any: number;
  c_full: number;
}

/** Schema "membrana.her2/2": everything that is shown of a score. */
export interface ScoreDocument {
  protocol: {
    name: string;
    version: string;
    title: string;
    gap: Gap | null;
    calibrated: { on: string } | null;
    thresholds: Thresholds & Record<string, number | string>;
  };
  score: ScoreName;
  reason: string;
  reason_text: string;
  printed_score: string;
  ish_required: boolean;
  flags: Flag[];
  cells: number;
  tiles: number;
  counts: Record<Label, number>;
  percent: Record<string, Estimate>;
  probability: Record<string, number>;
  distance: Distance[];
  h_score: Estimate;
  /** Of tissue; what an earlier version computed has none. */
  evaluated_area_mm2?: number;
  reviewed_share: number | null;
  edited_cells: number | null;
}

/** In situ hybridisation as a person read it. copies: of HER2 a nucleus. */
export interface Ish {
  method: string;
  result: string;
  read_by: string;
  group: number | null;
  copies: number | null;
  ratio: number | null;
  cells: number | null;
}

export interface EnteredIsh extends Ish {
  entered_by: { id: string; name: string };
  entered_at: string;
}

export interface LiveScore {
  slide_id: string;
  state: "none" | "computing" | "current" | "failed";
  job_id: string | null;
  revision: number;
  protocol: string | null;
  gap: Gap | null;
  thresholds: Thresholds | null;
  score: ScoreName | null;
  printed_score: string | null;
  previous_score: string | null;
  computed_at: string | null;
  problem: { code: string; detail: string } | null;
  document: ScoreDocument | null;
  decisions: number;
  merge_zero_plus: boolean;
  cytoplasm_obscures: boolean;
  ish: EnteredIsh | null;
}

/** A measured cell; x, y and the outline's vertices in level-0 px. */
export interface Cell extends Point {
  label: Label;
  measured: Label;
  included: boolean;
  edited: boolean;
  intensity: number;
  completeness: number;
  outline: [number, number][];
}

export type CellAction = "exclude" | "include" | "class";

export interface Signature {
  by: { id: string; username: string };
  full_name: string | null;
  role: string | null;
  without_review: boolean | null;
  at: string;
  meaning: string;
  score: string;
  comment: string;
  reason: string;
  sha256: string;
}

export type ReportState = "computing" | "draft" | "signed" | "superseded" | "failed";

export interface ReportSummary {
  id: string;
  slide_id: string;
  state: ReportState;
  version: number;
  amends: string | null;
  amendment_reason: string;
  protocol: string;
  score: ScoreName | null;
  printed_score: string | null;
  requested_by: { id: string; username: string };
  created_at: string;
  job_id: string | null;
  problem: { code?: string; detail?: string } | null;
  edit_count: number;
  signature: Signature | null;
  research_use_only: string;
}

export interface Report extends ReportSummary {
  amended_by: string | null;
  /** What the slide is called: a draft follows it, a signature freezes it. */
  slide: { name?: string; case_id: string | null; block?: string | null };
  /** What people have reviewed of the report here. */
  seen: { patches: number; cell_decisions: number; anything: boolean };
  inputs: { gap?: Gap | null; merge_zero_plus?: boolean };
  assay: Assay;
  ish: EnteredIsh | null;
  document: ScoreDocument | null;
}

/** What was stained and how, as far as somebody said so. */
export interface Assay {
  cytoplasm_obscures?: boolean;
  [other: string]: unknown;
}

/** What a report is asked with. */
export interface ReportWish {
  protocol: string;
  gap: Gap | null;
  merge_zero_plus: boolean;
  assay: Assay;
}

export interface Verdict {
  score: ScoreName;
  password: string;
  comment: string;
  reason: string;
  /** The signer's word where nobody has seen anything of it here. */
  without_review: boolean;
  /** Takes the place of what was entered before. */
  ish?: Record<keyof Ish, unknown>;
}
