/** The panel beside the viewer: why this patch, the tools, and what became of the work. */

import type { Patch } from "../api/types";
import { revisionOf } from "../drafts/saving";
import { BesideNote, UnsavedHere } from "../drafts/unsaved";
import { RoundsPanel } from "../learning/rounds";
import { bench, mayEdit, page, setPreferences } from "../store";
import { PATCH_PX } from "./editing";
import type { Editing } from "./editing_state";
import { Outlines, Saving, Tools } from "./patch_tools";
import { closePatch, later, next, skip } from "./queue";
import { FilmStrip } from "./film_strip";
import { RevisionsPanel } from "./revisions_panel";
import { StrategyChoice } from "./strategy_choice";
import { Button } from "../shell/controls";

export function EditorPanel() {
  const editing = bench.editing.value;
  const busy = bench.opening.value
    ? "Opening the patch…"
    : bench.asking.value
      ? "Looking for the next patch…"
      : "";
  const { strategy } = page.preferences.value;
  return (
    <aside
      class="editor"
      data-testid="editor"
      data-patch-id={editing?.patch.id ?? ""}
      data-state={editing?.state ?? ""}
      data-tool={bench.tool.value}
      data-revision={editing ? revisionOf(editing.etag) : ""}
      aria-label="Patch"
    >
      {mayEdit.value && (
        <Button
          class={editing && editing.state !== "saved" ? "wide" : "primary wide"}
          testid="next-patch"
          disabled={busy !== ""}
          onClick={() => void next()}
        >
          {strategy === "clinical" ? "Next patch for the score" : "Next most uncertain patch"} <kbd>N</kbd>
        </Button>
      )}
      {mayEdit.value && (
        <StrategyChoice
          strategy={strategy}
          onChoice={(chosen) => {
            bench.queueNote.value = "";
            bench.coming.value = []; // in the other order
            setPreferences({ strategy: chosen });
          }}
        />
      )}
      <p class="busy quiet" role="status">
        {busy}
      </p>
      {bench.queueNote.value && !busy && (
        <p class="note" role="status" data-testid="queue-empty">
          {bench.queueNote.value}
        </p>
      )}
      {mayEdit.value && <FilmStrip busy={busy !== ""} />}
      <UnsavedHere />
      {editing ? (
        <OpenPatch editing={editing} />
      ) : (
        <p class="quiet hint">
          {mayEdit.value
            ? "Take the next patch, or click one on the slide."
            : "Click a patch on the slide to see what was drawn. Your role only reads."}
        </p>
      )}
      <RoundsPanel open={!editing} />
    </aside>
  );
}

function OpenPatch({ editing }: { editing: Editing }) {
  const { value: last } = bench.offer;
  const offer = last?.patch.id === editing.patch.id ? last : null;
  const reason = offer?.reason ?? editing.patch.reason;
  const { lease } = editing.patch;
  return (
    <>
      <section class="about">
        <div class="panel-head">
          <h2>Patch</h2>
          <Button
            class="plain"
            aria-label="Close the patch"
            testid="close-patch"
            onClick={closePatch}
          >
            ×
          </Button>
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
            {mayEdit.value &&
              ` If you accept or save it, ${lease.username} is told at once, and their strokes stay.`}
          </p>
        )}
        {editing.patch.unseen_px > 0 && (
          <p class="note" role="status" data-testid="painted-in-part">
            People have painted {painted(editing.patch.unseen_px)} % of this patch. Where nobody has
            looked you see {editing.proposal ? "the proposal" : "background"}; saving says that all
            of it is as you see it.
          </p>
        )}
        {editing.patch.state === "approved" && mayEdit.value && (
          <p class="note" role="status" data-testid="approved">
            A second person has approved this mask: it stays, and strokes on it can't be saved.
          </p>
        )}
        {offer?.lease && editing.state !== "saved" && (
          <p class="quiet" data-testid="lease">
            Yours until {clock(offer.lease.expires_at)}.{" "}
            <Button class="plain inline" testid="later-patch" onClick={() => void later()}>
              Later <kbd>K</kbd>
            </Button>{" "}
            {editing.patch.revision === 0 && (
              <Button class="plain inline" testid="skip-patch" onClick={() => void skip()}>
                Put aside <kbd>X</kbd>
              </Button>
            )}
          </p>
        )}
      </section>
      {editing.restored && editing.state !== "saved" && (
        <p class="note" data-testid="draft-restored">
          Your unsaved work of {clock(editing.restored)} is back.
        </p>
      )}
      {mayEdit.value && <BesideNote editing={editing} />}
      {mayEdit.value && <Tools editing={editing} />}
      <Outlines editing={editing} />
      {mayEdit.value && <Saving editing={editing} />}
      <RevisionsPanel editing={editing} />
    </>
  );
}

/** The share of a patch that somebody has looked at: never all of it, nor nothing. */
function painted(unseen: number): number {
  const share = 100 * (1 - unseen / (PATCH_PX * PATCH_PX));
  return Math.min(99, Math.max(1, Math.round(share)));
}

function facts(patch: Patch): string {
  return [
    patch.state.replace("_", " "),
    patch.tissue_fraction !== null && `${Math.round(patch.tissue_fraction * 100)} % tissue`,
    patch.role === "gold" && "gold: measures models, never trains them",
  ]
    .filter(Boolean)
    .join(" · ");
}

function clock(time: string): string {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
