/** The JSON of the REST contract, as far as the page reads it. */

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Problem {
  title: string;
  status: number;
  detail?: string;
  code?: string;
  /** Of what was sent: where, dotted, and what is wrong there. */
  errors?: { where: string; message: string }[];
}

export type UserRole = "viewer" | "pathologist" | "admin";

export interface Session {
  user: { id: string; username: string; full_name?: string | null; role: UserRole };
  csrf_token: string;
}

export type JobState = "queued" | "running" | "succeeded" | "failed" | "cancelled";

export interface Job {
  id: string;
  kind?: string;
  subject?: string;
  state: JobState;
  progress?: number | null;
  message?: string | null;
}

export type SlideState = "uploaded" | "ingesting" | "needs_mpp" | "ready" | "failed" | "archived";

export interface Slide {
  id: string;
  name: string;
  state: SlideState;
  stain: string;
  case_id?: string | null;
  block?: string | null;
  width?: number | null;
  height?: number | null;
  mpp?: number | null;
  objective_power?: number | null;
  vendor?: string | null;
  patch_count: number;
  tissue_fraction?: number | null;
  qc: string[];
  problem?: { code: string; detail: string } | null;
  synthetic: boolean;
  created_at: string;
  patch_counts?: Partial<Record<PatchState, number>> | null;
  job?: Job | null;
}

export type PatchState =
  "unreviewed" | "proposed" | "in_annotation" | "annotated" | "returned" | "approved" | "skipped";

/** A 256×256 window of the analysis grid; x, y, size in level-0 px. */
export interface Patch {
  id: string;
  slide_id: string;
  x: number;
  y: number;
  size: number;
  tissue_fraction: number;
  state: PatchState;
  uncertainty?: number | null;
  role?: "training" | "gold" | null;
  revision: number;
  reason?: Reason | null;
  lease?: { username: string; expires_at: string; mine: boolean } | null;
}

export interface Reason {
  text: string;
  flagged_fraction?: number | null;
  entropy?: number | null;
}

export interface QueueItem {
  patch: Patch;
  reason?: Reason | null;
  lease?: { expires_at: string } | null;
}

/** How the queue is ordered. */
export type Strategy = "uncertainty" | "clinical";

export type Source = "proposal" | "edited" | "scratch";

export interface Annotation {
  id: string;
  revision: number;
  base_revision: number;
  author?: { id: string; username: string } | null;
  source: Source;
  seconds_spent?: number | null;
  /** The earlier revision whose mask this is again. */
  restores?: number | null;
  created_at: string;
}

export interface ModelVersion {
  id: string;
  name: string;
  kind: string;
  state: "training" | "candidate" | "active" | "retired" | "failed";
  created_at: string;
}

export type RoundState =
  "open" | "training" | "evaluating" | "promoted" | "kept_back" | "not_judged" | "abandoned";

export interface Round {
  id: string;
  state: RoundState;
  reason: string;
  created_at: string;
  finished_at?: string | null;
  held_out?: string | null;
  model_version_id?: string | null;
  job?: Job | null;
  training_count?: number | null;
  gold_count?: number | null;
  /** Held-out masks that could judge; null before the verdict. */
  gold_counted?: number | null;
  metrics?: {
    gold?: { active?: { dice?: number | null }; candidate?: { dice?: number | null } } | null;
  } | null;
}

export interface RoundPage extends Page<Round> {
  annotations_since: number;
  threshold: number;
  gold_counted: number;
  gold_needed: number;
}
