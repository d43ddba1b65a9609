/** The panel's list of revisions: each can be opened, compared and restored. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { Editing } from "./editing";
import { difference, differenceSentence, revisionWords } from "./revisions";
import type { Looked, Revisions } from "./use_revisions";

const SHOWN_AT_FIRST = 5;

interface RevisionsProps {
  editing: Editing;
  revisions: Revisions;
  mayEdit: boolean;
}

export function RevisionsPanel({ editing, revisions, mayEdit }: RevisionsProps) {
  const [whole, setWhole] = useState(false);
  const { list, looked } = revisions;
  if (list.length === 0) return null;
  const shown = whole ? list : list.filter((each, i) => i < SHOWN_AT_FIRST || isLooked(each));
  const now = new Date();
  function isLooked({ revision }: { revision: number }): boolean {
    return revision === looked?.revision;
  }
  return (
    <section class="revisions" aria-label="Revisions" data-testid="revisions">
      <h3>
        Revisions <kbd>R</kbd>
      </h3>
      <ol>
        {shown.map((annotation) => (
          <li key={annotation.id}>
            <button
              type="button"
              class={isLooked(annotation) ? "revision chosen" : "revision"}
              aria-pressed={isLooked(annotation)}
              data-testid="revision"
              data-revision={annotation.revision}
              title="Show this revision on the slide, and how it differs"
              onClick={() =>
                isLooked(annotation) ? revisions.close() : revisions.look(annotation.revision)
              }
            >
              <strong>{annotation.revision}</strong>
              <span>{revisionWords(annotation, now)}</span>
            </button>
          </li>
        ))}
      </ol>
      {shown.length < list.length && (
        <button
          type="button"
          class="plain"
          data-testid="all-revisions"
          onClick={() => setWhole(true)}
        >
          Show all {list.length}
        </button>
      )}
      {looked && (
        <Comparison editing={editing} revisions={revisions} looked={looked} mayEdit={mayEdit} />
      )}
    </section>
  );
}

function Comparison(props: RevisionsProps & { looked: Looked }) {
  const { editing, revisions, looked, mayEdit } = props;
  const here = `revision ${looked.revision}`;
  const there = looked.against ? `revision ${looked.against.revision}` : "the mask in hand";
  const box = useRef<HTMLDivElement>(null);
  // opened by a key, it may lie below what the panel shows
  useEffect(() => box.current?.scrollIntoView({ block: "nearest" }), [looked.revision]);
  const found = difference(looked.mask, looked.against?.mask ?? editing.mask);
  return (
    <div class="comparison" data-testid="comparison" ref={box}>
      <label class="compare-with">
        <span>Compare revision {looked.revision} with</span>
        <select
          data-testid="compare-with"
          value={looked.against?.revision ?? ""}
          onChange={({ currentTarget: { value } }) =>
            revisions.compare(value ? Number(value) : null)
          }
        >
          <option value="">the mask in hand</option>
          {revisions.list
            .filter(({ revision }) => revision !== looked.revision)
            .map(({ revision }) => (
              <option key={revision} value={revision}>
                revision {revision}
              </option>
            ))}
        </select>
      </label>
      <p role="status" data-testid="difference">
        {differenceSentence(found, here, there)}
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
        <button type="button" data-testid="leave-revision" onClick={revisions.close}>
          Back to the mask <kbd>Esc</kbd>
        </button>
        {mayEdit && <RestoreButton editing={editing} revisions={revisions} looked={looked} />}
      </div>
    </div>
  );
}

function RestoreButton(props: { editing: Editing; revisions: Revisions; looked: Looked }) {
  const { editing, revisions, looked } = props;
  const refused = whyNot(editing);
  return (
    <>
      <button
        type="button"
        class="primary"
        data-testid="restore"
        disabled={refused !== "" || revisions.restoring}
        onClick={() => void revisions.restore()}
      >
        {editing.isUnsaved() ? "Save mine, then restore" : "Restore"} revision {looked.revision}
      </button>
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
