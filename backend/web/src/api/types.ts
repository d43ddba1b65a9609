/** What the service says, by the names of this page; schema.d.ts is made by `make types`. */

import type {
  Assay,
  CellOut,
  IshIn,
  Polygon,
  ReportInputs,
  RoundJob,
  RoundList,
  RoundOut,
  ScoreIn,
  SignIn,
} from "./schema";

export type {
  AnnotationOut as Annotation,
  AnnotationStatistics,
  Assay,
  CellOut as Cell,
  CellAction,
  ComingPatch,
  Distance,
  EnteredIsh,
  Figures,
  Flag,
  GroupOut as FigureGroup,
  JobState,
  LiveJob as Job,
  ModelVersionOut as ModelVersion,
  PatchOut as Patch,
  PatchState,
  Problem,
  QueueItem,
  RegionFeature,
  RegionsOut as RegionSet,
  RegionKind,
  ReportOut as Report,
  ReportState,
  ReportSummary,
  RoundState,
  ScoreDocument,
  ScoreOut as LiveScore,
  SignatureOut as Signature,
  SignedIn as Session,
  SlideOut as Slide,
  SlideState,
  Source,
  Thresholds,
  UploadOut,
} from "./schema";

export type Label = CellOut["label"];
export type Gap = NonNullable<ReportInputs["gap"]>;
export type ScoreName = SignIn["score"];
export type Ring = Polygon["coordinates"][number];
/** A hybridisation as it is typed: what is no number goes as it is, and the service says so. */
export type IshWish = { [Field in keyof Required<IshIn>]: unknown };
export type ScoreWish = Omit<ScoreIn, "protocol" | "ish"> & {
  protocol?: string;
  ish?: IshWish | null;
};
export type ReportWish = Required<Pick<ScoreIn, "gap" | "merge_zero_plus">> & {
  protocol: string;
  assay: Assay;
};
export type Verdict = Omit<SignIn, "ish"> & { ish?: IshWish };

/** Its job as an event tells of it. */
export type Round = Omit<RoundOut, "job"> & {
  job: Pick<RoundJob, "id" | "state" | "progress" | "message"> | null;
};
export type RoundPage = Omit<RoundList, "items"> & { items: Round[] };

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/** How the queue is ordered. */
export type Strategy = "uncertainty" | "clinical";
