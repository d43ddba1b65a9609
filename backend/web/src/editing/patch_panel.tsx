/** The panel beside the viewer: why this patch, the tools, and what became of the work. */

import type { BenchActions } from "../pages/bench_keys";
import type { Editing } from "./editing";
import type { Learning } from "../learning/learning";
import type { Tool } from "../viewer/painting";
import { Outlines, Saving, Tools } from "./patch_tools";
import type { Preferences } from "../shell/preferences";
import { RoundsPanel } from "../learning/rounds";
import { RevisionsPanel } from "./revisions_panel";
import { revisionOf } from "../drafts/saving";
import { StrategyChoice } from "./strategy_choice";
import type { Patch } from "../api/types";
import { BesideNote, UnsavedHere, type Unsaved } from "../drafts/unsaved";
import type { Queue } from "./use_queue";
import type { Revisions } from "./use_revisions";

interface EditorProps {
  editing: Editing | null;
  mayEdit: boolean;
  busy: string;
  queue: Queue;
  tool: Tool;
  preferences: Preferences;
  actions: BenchActions;
  learning: Learning;
  revisions: Revisions;
  unsaved: Unsaved[];
  /** Open the patch anew with another of its drafts. */
  reopen: (draft: string) => void;
}

export function EditorPanel(props: EditorProps) {
  const { editing, mayEdit, busy, actions, queue, preferences } = props;
  const clinical = preferences.strategy === "clinical";
  return (
    <aside
      class="editor"
      data-testid="editor"
      data-patch-id={editing?.patch.id ?? ""}
      data-state={editing?.state ?? ""}
      data-tool={props.tool}
      data-revision={editing ? revisionOf(editing.etag) : ""}
      aria-label="Patch"
    >
      {mayEdit && (
        <button
          type="button"
          class={editing && editing.state !== "saved" ? "wide" : "primary wide"}
          data-testid="next-patch"
          disabled={busy !== ""}
          onClick={actions.next}
        >
          {clinical ? "Next patch for the score" : "Next most uncertain patch"} <kbd>N</kbd>
        </button>
      )}
      {mayEdit && (
        <StrategyChoice
          strategy={preferences.strategy}
          onChoice={(strategy) => {
            queue.forget();
            actions.setPreferences({ strategy });
          }}
        />
      )}
      <p class="busy quiet" role="status">
        {busy}
      </p>
      {queue.nothing && !busy && (
        <p class="note" role="status" data-testid="queue-empty">
          {queue.nothing}
        </p>
      )}
      <UnsavedHere unsaved={props.unsaved} patchId={editing?.patch.id ?? null} />
      {editing ? (
        <OpenPatch {...props} editing={editing} />
      ) : (
        <p class="quiet hint">
          {mayEdit
            ? "Take the next patch, or click one on the slide."
            : "Click a patch on the slide to see what was drawn. Your role only reads."}
        </p>
      )}
      <RoundsPanel learning={props.learning} mayStart={mayEdit} open={!editing} />
    </aside>
  );
}

function OpenPatch(props: EditorProps & { editing: Editing }) {
  const { editing, queue, mayEdit, actions } = props;
  const offer = queue.offer?.patch.id === editing.patch.id ? queue.offer : null;
  const reason = offer?.reason ?? editing.patch.reason;
  const { lease } = editing.patch;
  return (
    <>
      <section class="about">
        <div class="panel-head">
          <h2>Patch</h2>
          <button
            type="button"
            class="plain"
            aria-label="Close the patch"
            data-testid="close-patch"
            onClick={actions.close}
          >
            ×
          </button>
        </div>
        {reason?.text && (
          <p class="reason" data-testid="reason">
            {reason.text}
          </p>
        )}
        <p class="facts">{facts(editing.patch)}</p>
        {lease?.mine === false && Date.parse(lease.expires_at) > Date.now() && (
          <p class="note" role="status" data-testid="leased-by-other">
            <strong>{lease.username}</strong> has this patch in hand until{" "}
            {clock(lease.expires_at)}.
            {mayEdit &&
              ` If you accept or save it, ${lease.username} is told at once, and their strokes stay.`}
          </p>
        )}
        {editing.patch.state === "approved" && mayEdit && (
          <p class="note" role="status" data-testid="approved">
            A second person has approved this mask: it stays, and strokes on it can't be saved.
          </p>
        )}
        {offer?.lease && editing.state !== "saved" && (
          <p class="quiet" data-testid="lease">
            Yours until {clock(offer.lease.expires_at)}.{" "}
            {editing.patch.revision === 0 && (
              <button
                type="button"
                class="plain inline"
                data-testid="skip-patch"
                onClick={actions.skip}
              >
                Put aside <kbd>X</kbd>
              </button>
            )}
          </p>
        )}
      </section>
      {editing.restored && editing.state !== "saved" && (
        <p class="note" data-testid="draft-restored">
          Your unsaved work of {clock(editing.restored)} is back.
        </p>
      )}
      {mayEdit && <BesideNote editing={editing} reopen={props.reopen} />}
      {mayEdit && <Tools {...props} />}
      <Outlines {...props} />
      {mayEdit && <Saving {...props} />}
      <RevisionsPanel editing={editing} revisions={props.revisions} mayEdit={mayEdit} />
    </>
  );
}

function facts(patch: Patch): string {
  return [
    patch.state.replace("_", " "),
    `${Math.round(patch.tissue_fraction * 100)} % tissue`,
    patch.role === "gold" && "gold: measures models, never trains them",
  ]
    .filter(Boolean)
    .join(" · ");
}

function clock(time: string): string {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
