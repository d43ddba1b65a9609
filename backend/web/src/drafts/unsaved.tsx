/** Where unsaved strokes lie in this browser, and the ways to them. */

import { computed } from "@preact/signals";
import { draftsOf, forgetDraft, isStored, onDrafts, type DraftKey } from "./journal";
import type { Editing } from "../editing/editing_state";
import { go } from "../route";
import { ago } from "./saving";
import { bench, page, work } from "../store";
import type { Slide } from "../api/types";
import { Button } from "../shell/controls";

export interface Unsaved extends DraftKey {
  slideId: string;
  changedAt: string;
  /** Saved by the person, and waiting for the service. */
  pending: boolean;
  stored: boolean;
  /** The patches around it that its strokes reach. */
  around: string[];
}

/** Keep the store's list of unsaved strokes fresh. Returns the stop. */
export function followUnsaved(userId: string): () => void {
  let asked = 0;
  const read = async (): Promise<void> => {
    const ticket = (asked += 1);
    const drafts = await draftsOf(userId);
    if (ticket !== asked) return;
    work.unsaved.value = drafts.reverse().map((draft) => {
      const { patchId, id, slideId, changedAt, pending } = draft;
      const around = (draft.around?.tiles ?? []).flatMap((tile) => tile.patchId ?? []);
      return { userId, patchId, id, slideId, changedAt, pending, stored: isStored(id), around };
    });
  };
  void read();
  const stop = onDrafts(() => void read());
  return () => {
    asked = -1;
    stop();
  };
}

/** All of them on the open slide. */
export const unsavedHere = computed(() =>
  work.unsaved.value.filter(({ slideId }) => slideId === page.route.value.slide),
);

const patchesOf = (unsaved: Unsaved[]): Unsaved[] => [
  ...new Map(unsaved.map((each) => [each.patchId, each])).values(),
];

export function patchCount(unsaved: Unsaved[]): string {
  const count = patchesOf(unsaved).length;
  return count === 1 ? "1 patch" : `${count.toLocaleString("en")} patches`;
}

/** In the header: one click from anywhere to the oldest unsaved strokes that are not open. */
export function UnsavedButton() {
  const unsaved = work.unsaved.value;
  const next = patchesOf(unsaved).find(({ patchId }) => patchId !== page.route.value.patch);
  if (!next) return null;
  return (
    <Button
      class="unsaved-button"
      testid="unsaved-button"
      title="Go to the oldest of them"
      onClick={() => void go(next.slideId, next.patchId)}
    >
      Unsaved strokes: {patchCount(unsaved)}
    </Button>
  );
}

/** On a slide's card. */
export function UnsavedTag(props: { slideId: string }) {
  const unsaved = work.unsaved.value.filter(({ slideId }) => slideId === props.slideId);
  const [first] = unsaved;
  if (!first) return null;
  return (
    <Button
      class="tag unsaved"
      testid="slide-unsaved"
      onClick={() => void go(first.slideId, first.patchId)}
    >
      unsaved strokes · {patchCount(unsaved)}
    </Button>
  );
}

/** Above the list of slides: each patch with unsaved strokes, also of slides that are gone. */
export function UnsavedList({ slides }: { slides: Slide[] }) {
  const unsaved = work.unsaved.value;
  if (unsaved.length === 0) return null;
  return (
    <section class="unsaved-list" aria-label="Unsaved strokes" data-testid="unsaved-list">
      <p>
        <strong>Unsaved strokes on {patchCount(unsaved)}.</strong> They are in this browser only.
      </p>
      <ul>
        {unsaved.map((each) => (
          <UnsavedItem
            key={each.id}
            each={each}
            slide={slides.find(({ id }) => id === each.slideId)}
          />
        ))}
      </ul>
    </section>
  );
}

function UnsavedItem({ each, slide }: { each: Unsaved; slide: Slide | undefined }) {
  const when = ago(each.changedAt, new Date());
  return (
    <li data-testid="unsaved-item" data-patch-id={each.patchId} data-pending={each.pending}>
      {slide ? (
        <Button
          class="plain inline"
          testid="unsaved-open"
          onClick={() => void go(each.slideId, each.patchId)}
        >
          {slide.name}
        </Button>
      ) : (
        <span>A slide that is not here any more</span>
      )}
      <span class="quiet">
        drawn {when}
        {each.pending && ", saved by you, waiting for the service"}
        {!each.stored && ", kept by this open page only"}
      </span>
      <ThrowAway onSure={() => void forgetDraft(each)} />
    </li>
  );
}

function ThrowAway({ onSure }: { onSure: () => void }) {
  return (
    <Button
      class="plain inline"
      testid="draft-discard"
      onClick={() => {
        if (confirm("Throw these unsaved strokes away? This can't be undone.")) onSure();
      }}
    >
      Throw away
    </Button>
  );
}

/** In the panel of an open patch: what other tabs hold of it, or have left. */
export function BesideNote({ editing }: { editing: Editing }) {
  const { tabs, unsaved, left } = editing.beside;
  return (
    <>
      {tabs > 0 && (
        <p class="note" role="status" data-testid="open-elsewhere" data-unsaved={unsaved}>
          This patch is open in {tabs === 1 ? "another tab" : `${tabs} other tabs`} of yours
          {unsaved > 0 && ", with unsaved strokes that are not shown here"}. Each tab saves its own:
          whoever saves second is asked.
        </p>
      )}
      {left.map(({ id, changedAt }) => (
        <p key={id} class="note" data-testid="draft-left" data-draft-id={id}>
          Other unsaved strokes on this patch, drawn {ago(changedAt, new Date())} in a tab that is
          closed.{" "}
          <Button
            class="plain inline"
            testid="draft-take-up"
            onClick={() => (bench.wanted.value = { draft: id })}
          >
            Go on with them
          </Button>{" "}
          <ThrowAway onSure={() => void editing.discard(id)} />
        </p>
      ))}
    </>
  );
}

/** In the panel of a slide: the patches on it that hold unsaved strokes, but for the open one. */
export function UnsavedHere() {
  const open = bench.editing.value?.patch.id;
  const others = patchesOf(unsavedHere.value).filter(({ patchId }) => patchId !== open);
  if (others.length === 0) return null;
  return (
    <div class="note" data-testid="unsaved-here">
      Unsaved strokes on {patchCount(others)} of this slide, marked by a red corner:
      <ul>
        {others.map((each) => (
          <li key={each.patchId}>
            <Button
              class="plain inline"
              testid="unsaved-here-open"
              onClick={() => void go(each.slideId, each.patchId)}
            >
              drawn {ago(each.changedAt, new Date())}
            </Button>
            {each.pending && <span class="quiet"> waiting for the service</span>}
          </li>
        ))}
      </ul>
    </div>
  );
}
