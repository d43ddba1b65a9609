/** The panel's list of revisions: each can be opened, compared and restored. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { Editing } from "./editing";
import { bench, mayEdit } from "../store";
import { difference, differenceSentence, revisionWords, type Comparison } from "./revisions";
import { closeRevisions, compareWith, lookAt, restore } from "./use_revisions";
import { Button } from "../shell/controls";

const SHOWN_AT_FIRST = 5;

export function RevisionsPanel({ editing }: { editing: Editing }) {
  const [whole, setWhole] = useState(false);
  const list = bench.revisions.value;
  const comparison = bench.comparison.value;
  if (list.length === 0) return null;
  const shown = whole ? list : list.filter((each, i) => i < SHOWN_AT_FIRST || isShown(each));
  const now = new Date();
  function isShown({ revision }: { revision: number }): boolean {
    return revision === comparison?.revision;
  }
  return (
    <section class="revisions" aria-label="Revisions" data-testid="revisions">
      <h3>
        Revisions <kbd>R</kbd>
      </h3>
      <ol>
        {shown.map((annotation) => (
          <li key={annotation.id}>
            <Button
              class={isShown(annotation) ? "revision chosen" : "revision"}
              aria-pressed={isShown(annotation)}
              testid="revision"
              data-revision={annotation.revision}
              title="Show this revision on the slide, and how it differs"
              onClick={() =>
                isShown(annotation) ? closeRevisions() : lookAt(annotation.revision)
              }
            >
              <strong>{annotation.revision}</strong>
              <span>{revisionWords(annotation, now)}</span>
            </Button>
          </li>
        ))}
      </ol>
      {shown.length < list.length && (
        <Button class="plain" testid="all-revisions" onClick={() => setWhole(true)}>
          Show all {list.length}
        </Button>
      )}
      {comparison && <ComparisonBox editing={editing} comparison={comparison} />}
    </section>
  );
}

function ComparisonBox(props: { editing: Editing; comparison: Comparison }) {
  const { editing } = props;
  const { revision: shown, mask, against } = props.comparison;
  const here = `revision ${shown}`;
  const there = against ? `revision ${against.revision}` : "the mask in hand";
  const box = useRef<HTMLDivElement>(null);
  // opened by a key, it may lie below what the panel shows
  useEffect(() => box.current?.scrollIntoView({ block: "nearest" }), [shown]);
  editing.counts(); // the mask in hand is drawn on meanwhile
  const counts = difference(mask, against?.mask ?? editing.mask);
  return (
    <div class="comparison" data-testid="comparison" ref={box}>
      <label class="compare-with">
        <span>Compare revision {shown} with</span>
        <select
          data-testid="compare-with"
          value={against?.revision ?? ""}
          onChange={({ currentTarget: { value } }) =>
            compareWith(value ? Number(value) : null)
          }
        >
          <option value="">the mask in hand</option>
          {bench.revisions.value
            .filter(({ revision }) => revision !== shown)
            .map(({ revision }) => (
              <option key={revision} value={revision}>
                revision {revision}
              </option>
            ))}
        </select>
      </label>
      <p role="status" data-testid="difference">
        {differenceSentence(counts, here, there)}
      </p>
      <ul class="legend quiet">
        <li>
          <span class="swatch only-looked" aria-hidden="true" /> dashed outline: {here}, pink where
          only there
        </li>
        <li>
          <span class="swatch only-beside" aria-hidden="true" /> full outline: {there}, orange where
          only there
        </li>
      </ul>
      <div class="button-row">
        <Button testid="leave-revision" onClick={closeRevisions}>
          Back to the mask <kbd>Esc</kbd>
        </Button>
        {mayEdit.value && <RestoreButton editing={editing} revision={shown} />}
      </div>
    </div>
  );
}

function RestoreButton({ editing, revision }: { editing: Editing; revision: number }) {
  const refused = whyNot(editing);
  return (
    <>
      <Button
        class="primary"
        testid="restore"
        disabled={refused !== "" || bench.restoring.value}
        onClick={() => void restore()}
      >
        {editing.isUnsaved() ? "Save mine, then restore" : "Restore"} revision {revision}
      </Button>
      <p class="quiet restore-note">
        {refused ||
          (editing.isUnsaved()
            ? "Your strokes stay as a revision of their own; this one follows as the newest."
            : "It becomes the newest revision. Every other one stays in this list.")}
      </p>
    </>
  );
}

/** Why nothing can be restored now; empty if it can. */
function whyNot({ patch, state }: Editing): string {
  if (patch.state === "approved") return "A second person has approved the newest mask: it stays.";
  if (state === "conflict") return "First say what becomes of your own strokes, above.";
  if (state === "waiting") return "Your own save still waits for the service.";
  return "";
}
