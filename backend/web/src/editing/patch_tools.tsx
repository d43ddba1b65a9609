/** The parts of an open patch's panel: tools, display, saving. */

import { bench, page, setPreferences } from "../store";
import { LARGEST_BRUSH, SMALLEST_BRUSH, type Tool } from "../viewer/painting";
import type { Editing, SaveState } from "./editing_state";
import { accept, save } from "./queue";

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
  conflict: "Changed elsewhere",
  refused: "Not taken",
};

export function Tools({ editing }: { editing: Editing }) {
  const { diameter } = page.preferences.value;
  return (
    <section class="tools" aria-label="Tools">
      <div class="tool-row" role="group" aria-label="Tool">
        {TOOLS.map(([name, label, key]) => (
          <button
            key={name}
            type="button"
            class={bench.tool.value === name ? "tool chosen" : "tool"}
            aria-pressed={bench.tool.value === name}
            data-testid={`tool-${name}`}
            onClick={() => (bench.tool.value = name)}
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
          value={diameter}
          data-testid="brush-size"
          onInput={(event) => setPreferences({ diameter: Number(event.currentTarget.value) })}
        />
        <output>{diameter} px</output>
      </label>
      <div class="button-row">
        <button
          type="button"
          data-testid="undo"
          disabled={!editing.canUndo()}
          onClick={editing.undo}
        >
          Undo <kbd>Z</kbd>
        </button>
        <button
          type="button"
          data-testid="redo"
          disabled={!editing.canRedo()}
          onClick={editing.redo}
        >
          Redo <kbd>⇧Z</kbd>
        </button>
        <button
          type="button"
          data-testid="reset-mask"
          disabled={!editing.proposal}
          onClick={editing.reset}
        >
          Proposal
        </button>
        <button type="button" data-testid="clear-mask" onClick={editing.clear}>
          Empty
        </button>
      </div>
    </section>
  );
}

/** What is drawn, in pixels: also for those who can't see the outlines. */
function Drawn({ editing }: { editing: Editing }) {
  const { membrane, ignore } = editing.counts();
  return (
    <p class="quiet" data-testid="drawn">
      {membrane.toLocaleString("en")} px membrane, {ignore.toLocaleString("en")} px ignored
    </p>
  );
}

export function Outlines({ editing }: { editing: Editing }) {
  const { maskOpacity, uncertain } = page.preferences.value;
  return (
    <section class="tools" aria-label="Display">
      <Drawn editing={editing} />
      <label class="slider">
        <span>Mask</span>
        <input
          type="range"
          min="0"
          max="1"
          step="0.05"
          value={maskOpacity}
          aria-label="Opacity of the mask"
          data-testid="mask-opacity"
          onInput={(event) => setPreferences({ maskOpacity: Number(event.currentTarget.value) })}
        />
        <output>{Math.round(maskOpacity * 100)} %</output>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={uncertain}
          disabled={!editing.uncertain}
          data-testid="toggle-uncertain"
          onChange={(event) => setPreferences({ uncertain: event.currentTarget.checked })}
        />
        <span class="swatch uncertain" aria-hidden="true" />
        {editing.uncertain ? "Areas worth a look" : "No areas in doubt are known here"}
      </label>
      <p class="quiet">
        Hold <kbd>H</kbd> to see bare tissue, <kbd>Space</kbd> to pan.
      </p>
    </section>
  );
}

function ConflictBox({ editing }: { editing: Editing }) {
  return (
    <div class="conflict-box" role="alert" data-testid="conflict">
      <p>{editing.message}</p>
      <p class="quiet">
        {editing.theirsUnread
          ? "Theirs could not be read. Both stay in the history."
          : "Theirs is the dashed pink outline. Both stay in the history."}
      </p>
      <div class="button-row">
        {editing.theirsUnread ? (
          <button
            type="button"
            data-testid="conflict-read-theirs"
            onClick={() => void editing.readTheirs()}
          >
            Read theirs again
          </button>
        ) : (
          <button
            type="button"
            data-testid="conflict-theirs"
            disabled={!editing.theirs}
            onClick={editing.takeTheirs}
          >
            Use theirs
          </button>
        )}
        <button
          type="button"
          class="primary"
          data-testid="conflict-mine"
          onClick={() => void editing.keepMine()}
        >
          Save mine on top
        </button>
      </div>
    </div>
  );
}

export function Saving({ editing }: { editing: Editing }) {
  const saving = editing.state === "saving";
  const conflict = editing.state === "conflict";
  return (
    <section class="saving" aria-label="Save">
      {conflict && <ConflictBox editing={editing} />}
      <div class="button-row main-row">
        <button
          type="button"
          data-testid="accept"
          disabled={saving || conflict || !editing.isProposal()}
          title={editing.isProposal() ? "" : "Only an unchanged proposal can be accepted"}
          onClick={() => void accept()}
        >
          Accept <kbd>A</kbd>
        </button>
        {/* it stays where it was when a conflict comes up: a click that was on its way asks first */}
        <button
          type="button"
          class={conflict ? "" : "primary"}
          data-testid="save"
          disabled={saving}
          onClick={() => void save()}
        >
          Save <kbd>S</kbd>
        </button>
      </div>
      <p
        class={`save-state ${editing.state}`}
        data-testid="save-state"
        data-state={editing.state}
        role="status"
      >
        <i aria-hidden="true" />
        {editing.state === "conflict"
          ? STATE_WORDS.conflict
          : editing.message || STATE_WORDS[editing.state]}
      </p>
      <label class="check">
        <input
          type="checkbox"
          checked={page.preferences.value.advance}
          data-testid="auto-advance"
          onChange={(event) => setPreferences({ advance: event.currentTarget.checked })}
        />
        Go on to the next patch after saving
      </label>
    </section>
  );
}
