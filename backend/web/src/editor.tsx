/** The panel beside the viewer: why this patch, the tools, and what became of the work. */

import { LARGEST_BRUSH, SMALLEST_BRUSH, type BenchActions } from "./bench_keys";
import type { Editing, SaveState } from "./editing";
import type { Learning } from "./learning";
import type { Tool } from "./painting";
import type { Preferences } from "./preferences";
import { RoundsPanel } from "./rounds";
import { ago, revisionOf } from "./saving";
import type { Shortcut } from "./shortcuts";
import type { Patch, QueueItem } from "./types";

interface EditorProps {
  editing: Editing | null;
  mayEdit: boolean;
  busy: string;
  offer: QueueItem | null;
  queueEmpty: boolean;
  tool: Tool;
  preferences: Preferences;
  actions: BenchActions;
  shortcuts: Shortcut[] | null;
  learning: Learning;
}

const TOOLS: [Tool, string, string][] = [
  ["brush", "Brush", "B"],
  ["eraser", "Eraser", "E"],
  ["ignore", "Ignore", "I"],
  ["pan", "Pan", "V"],
];

const STATE_WORDS: Record<SaveState, string> = {
  clean: "Nothing to save",
  unsaved: "Not saved",
  saving: "Saving…",
  saved: "Saved",
  waiting: "Waiting for the service",
  conflict: "Changed by somebody else",
  refused: "Not taken",
};

export function EditorPanel(props: EditorProps) {
  const { editing, mayEdit, busy, actions, queueEmpty } = props;
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
          Next most uncertain patch <kbd>N</kbd>
        </button>
      )}
      <p class="busy quiet" role="status">
        {busy}
      </p>
      {queueEmpty && !busy && (
        <p class="note" data-testid="queue-empty">
          Nothing is left in the queue of this slide. Either every patch has been looked at, or its
          proposals are still being made.
        </p>
      )}
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
      <button type="button" class="plain help-toggle" onClick={actions.help} aria-expanded={props.shortcuts !== null}>
        Keys <kbd>?</kbd>
      </button>
      {props.shortcuts && (
        <dl class="help">
          {props.shortcuts.map((shortcut) => (
            <div key={shortcut.label}>
              <dt>
                <kbd>{keyLabel(shortcut.keys[0]!)}</kbd>
              </dt>
              <dd>{shortcut.label}</dd>
            </div>
          ))}
        </dl>
      )}
    </aside>
  );
}

function keyLabel(key: string): string {
  return key.length === 1 ? key.toUpperCase() : key.replace(/(^|\+)(\w)/g, (all) => all.toUpperCase());
}

type OpenProps = EditorProps & { editing: Editing };

function OpenPatch(props: OpenProps) {
  const { editing, offer, mayEdit, actions } = props;
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
        {offer?.reason && (
          <p class="reason" data-testid="reason">
            {offer.reason.text}
          </p>
        )}
        <p class="facts">{facts(editing.patch)}</p>
        {offer?.lease && (
          <p class="quiet" data-testid="lease">
            Yours until {clock(offer.lease.expires_at)}.
          </p>
        )}
      </section>
      {editing.restored && editing.state !== "saved" && (
        <p class="note" data-testid="draft-restored">
          Your unsaved work of {clock(editing.restored)} is back.
        </p>
      )}
      {mayEdit && <Tools {...props} />}
      <Outlines {...props} />
      {mayEdit && <Saving {...props} />}
      {editing.revisions.length > 0 && (
        <ol class="revisions" aria-label="Revisions">
          {editing.revisions.slice(0, 5).map((annotation) => (
            <li key={annotation.id}>
              <span>r{annotation.revision}</span>
              <span>{annotation.author?.username ?? "unknown"}</span>
              <span class="quiet">
                {annotation.source} · {ago(annotation.created_at, new Date())}
              </span>
            </li>
          ))}
        </ol>
      )}
    </>
  );
}

function Tools({ editing, tool, preferences, actions }: OpenProps) {
  return (
    <section class="tools" aria-label="Tools">
      <div class="tool-row" role="group" aria-label="Tool">
        {TOOLS.map(([name, label, key]) => (
          <button
            key={name}
            type="button"
            class={tool === name ? "tool chosen" : "tool"}
            aria-pressed={tool === name}
            data-testid={`tool-${name}`}
            onClick={() => actions.setTool(name)}
          >
            {label} <kbd>{key}</kbd>
          </button>
        ))}
      </div>
      <label class="slider">
        <span>Size</span>
        <input
          type="range"
          min={SMALLEST_BRUSH}
          max={LARGEST_BRUSH}
          value={preferences.diameter}
          data-testid="brush-size"
          onInput={(event) => actions.setPreferences({ diameter: Number(event.currentTarget.value) })}
        />
        <output>{preferences.diameter} px</output>
      </label>
      <div class="button-row">
        <button type="button" data-testid="undo" disabled={!editing.canUndo()} onClick={editing.undo}>
          Undo <kbd>Z</kbd>
        </button>
        <button type="button" data-testid="redo" disabled={!editing.canRedo()} onClick={editing.redo}>
          Redo <kbd>⇧Z</kbd>
        </button>
        <button type="button" data-testid="reset-mask" disabled={!editing.proposal} onClick={editing.reset}>
          Proposal
        </button>
        <button type="button" data-testid="clear-mask" onClick={editing.clear}>
          Empty
        </button>
      </div>
    </section>
  );
}

function Outlines({ editing, preferences, actions }: OpenProps) {
  return (
    <section class="tools" aria-label="Display">
      <label class="slider">
        <span>Mask</span>
        <input
          type="range"
          min="0"
          max="1"
          step="0.05"
          value={preferences.maskOpacity}
          aria-label="Opacity of the mask"
          data-testid="mask-opacity"
          onInput={(event) => actions.setPreferences({ maskOpacity: Number(event.currentTarget.value) })}
        />
        <output>{Math.round(preferences.maskOpacity * 100)} %</output>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={preferences.uncertain}
          disabled={!editing.uncertain}
          data-testid="toggle-uncertain"
          onChange={(event) => actions.setPreferences({ uncertain: event.currentTarget.checked })}
        />
        <span class="swatch uncertain" aria-hidden="true" />
        {editing.uncertain ? "Uncertain pixels" : "No uncertain pixels are known here"}
      </label>
      <p class="quiet">
        Hold <kbd>H</kbd> to see bare tissue, <kbd>Space</kbd> to pan.
      </p>
    </section>
  );
}

function Saving({ editing, actions, preferences }: OpenProps) {
  const saving = editing.state === "saving";
  return (
    <section class="saving" aria-label="Save">
      {editing.state === "conflict" ? (
        <div class="conflict-box" role="alert" data-testid="conflict">
          <p>{editing.message}</p>
          <p class="quiet">Theirs is the dashed pink outline. Both stay in the history.</p>
          <div class="button-row">
            <button type="button" data-testid="conflict-theirs" disabled={!editing.theirs} onClick={editing.takeTheirs}>
              Use theirs
            </button>
            <button type="button" class="primary" data-testid="conflict-mine" onClick={() => void editing.keepMine()}>
              Save mine on top
            </button>
          </div>
        </div>
      ) : (
        <div class="button-row main-row">
          <button
            type="button"
            data-testid="accept"
            disabled={saving || !editing.isProposal()}
            title={editing.isProposal() ? "" : "Only an unchanged proposal can be accepted"}
            onClick={actions.accept}
          >
            Accept <kbd>A</kbd>
          </button>
          <button type="button" class="primary" data-testid="save" disabled={saving} onClick={actions.save}>
            Save <kbd>S</kbd>
          </button>
        </div>
      )}
      <p class={`save-state ${editing.state}`} data-testid="save-state" data-state={editing.state} role="status">
        <i aria-hidden="true" />
        {editing.state === "conflict" ? STATE_WORDS.conflict : editing.message || STATE_WORDS[editing.state]}
      </p>
      <label class="check">
        <input
          type="checkbox"
          checked={preferences.advance}
          data-testid="auto-advance"
          onChange={(event) => actions.setPreferences({ advance: event.currentTarget.checked })}
        />
        Go on to the next patch after saving
      </label>
    </section>
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
