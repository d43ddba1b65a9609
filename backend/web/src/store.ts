/**
 * The one store of the page: what is known and what is shown, each fact a signal. The rooms write
 * it; a view that has read a fact is drawn anew when it changes.
 */

import { batch, computed, signal, type Signal } from "@preact/signals";
import type {
  Annotation,
  Cell,
  ComingPatch,
  LiveScore,
  ModelVersion,
  Patch,
  QueueItem,
  RegionFeature,
  RoundPage,
  Session,
  Slide,
  Thresholds,
} from "./api/types";
import type { Unsaved } from "./drafts/unsaved";
import type { Editing } from "./editing/editing_state";
import type { Comparison } from "./editing/revisions";
import type { TaggedRegions } from "./her2/api";
import type { CellsInView } from "./her2/cells";
import type { IshDraft } from "./her2/ish";
import type { Outline } from "./her2/regions";
import type { Progress } from "./her2/use_reports";
import type { Point } from "./masks/mask";
import type { Route } from "./route";
import type { Asked } from "./shell/choice_dialog";
import type { Notice } from "./shell/notices";
import { readPreferences, writePreferences, type Preferences } from "./shell/preferences";
import type { Tab } from "./shell/tabs";
import type { Tool } from "./viewer/painting";
import type { SlideViewer } from "./viewer/viewer";

type Facts<T> = { readonly [Name in keyof T]: Signal<T[Name]> };

function facts<T extends object>(initial: T): [Facts<T>, reset: () => void] {
  const entries = Object.entries(initial).map(([name, value]) => [name, signal(value)] as const);
  const reset = (): void =>
    batch(() => {
      for (const [name, fact] of entries) fact.value = initial[name as keyof T];
    });
  return [Object.fromEntries(entries) as Facts<T>, reset];
}

/** Of the page, whoever is signed in. */
export const page = facts<{
  session: Session | null;
  /** What the sign-in form begins with; null while nobody knows whether it is needed. */
  signInNote: string | null;
  route: Route;
  preferences: Preferences;
  notices: Notice[];
  question: Asked | null;
}>({
  session: null,
  signInNote: null,
  route: { slide: null, patch: null },
  preferences: readPreferences(),
  notices: [],
  question: null,
})[0];

/** What the service has for the person who is signed in. */
export const [work, resetWork] = facts<{
  /** Null before they are read. */
  slides: Slide[] | null;
  slidesProblem: string;
  /** Null before they are read: until then their numbers mean nothing. */
  rounds: RoundPage | null;
  versions: ModelVersion[];
  /** Unsaved strokes of the person in this browser, oldest first. */
  unsaved: Unsaved[];
}>({ slides: null, slidesProblem: "", rounds: null, versions: [], unsaved: [] });

/** What lies on the bench: the open slide, and the patch in the person's hands. */
export const [bench, resetBench] = facts<{
  tab: Tab;
  tool: Tool;
  /** While held: overlays hidden, pan inside any tool. */
  peeking: boolean;
  panning: boolean;
  helpShown: boolean;
  patches: Patch[];
  viewer: SlideViewer | null;
  viewerReady: boolean;
  viewerProblem: string;
  /** CSS px per level-0 px. */
  scale: number;
  editing: Editing | null;
  opening: boolean;
  /** The draft to open the patch with; another object opens it anew. */
  wanted: { draft?: string };
  /** All revisions of the open patch, newest first. */
  revisions: Annotation[];
  comparison: Comparison | null;
  restoring: boolean;
  /** What the queue offered last. */
  offer: QueueItem | null;
  /** Why it offered nothing; empty if it did, or nobody asked. */
  queueNote: string;
  asking: boolean;
  /** The patches that come next, the first of them first. */
  coming: ComingPatch[];
}>({
  tab: "patch",
  tool: "brush",
  peeking: false,
  panning: false,
  helpShown: false,
  patches: [],
  viewer: null,
  viewerReady: false,
  viewerProblem: "",
  scale: 0,
  editing: null,
  opening: false,
  wanted: {},
  revisions: [],
  comparison: null,
  restoring: false,
  offer: null,
  queueNote: "",
  asking: false,
  coming: [],
});

/** What is counted on the open slide: its regions, its live score, the cells in view. */
export const [her2, resetHer2] = facts<{
  /** Null before they are read. */
  regions: TaggedRegions | null;
  /** The chosen region's id. */
  selected: string | null;
  outline: Outline | null;
  /** Where the pointer is on the slide, while an outline is drawn. */
  pointer: Point | null;
  /** The region that was taken away last, while it can be put back. */
  removed: RegionFeature | null;
  savingRegions: boolean;
  live: LiveScore | null;
  /** Of the run that is going on, while its job says so. */
  scoreProgress: Progress | null;
  scoreBusy: boolean;
  /** Thresholds moved and not yet taken by the service; undefined: none are. */
  moved: Thresholds | null | undefined;
  /** A hybridisation as it is being typed: it outlives a look at another tab. */
  typed: IshDraft | null;
  cells: CellsInView;
  /** The chosen cell. */
  chosen: Cell | null;
  deciding: boolean;
}>({
  regions: null,
  selected: null,
  outline: null,
  pointer: null,
  removed: null,
  savingRegions: false,
  live: null,
  scoreProgress: null,
  scoreBusy: false,
  moved: undefined,
  typed: null,
  cells: { cells: [], total: 0, state: "reading", far: false },
  chosen: null,
  deciding: false,
});

export const userId = computed(() => page.session.value?.user.id ?? "");
export const mayEdit = computed(() => page.session.value?.user.role !== "viewer");
export const openSlide = computed(
  () => work.slides.value?.find(({ id }) => id === page.route.value.slide) ?? null,
);
export const activeModel = computed(
  () => work.versions.value.find(({ state }) => state === "active") ?? null,
);
/** In the other tabs an open patch waits: clicks and keys are about something else there. */
export const inHand = computed(() => (bench.tab.value === "patch" ? bench.editing.value : null));

/** Show what an address names; another slide gets an empty bench. */
export function showRoute(route: Route): void {
  batch(() => {
    if (route.slide !== page.route.value.slide) clearBench();
    page.route.value = route;
  });
}

function clearBench(): void {
  resetBench();
  resetHer2();
}

export function setPreferences(part: Partial<Preferences>): void {
  page.preferences.value = { ...page.preferences.value, ...part };
  writePreferences(page.preferences.value);
}

/** Nobody is signed in any more: the next person finds nothing of theirs. */
export function signOutOfStore(note: string): void {
  batch(() => {
    page.session.value = null;
    page.signInNote.value = note;
    page.notices.value = [];
    resetWork();
    clearBench();
  });
}
