/** The parts of an open patch's panel: tools, display, saving. */

import { bench, page, setPreferences } from "../store";
import { SLIDER_BRUSH, SMALLEST_BRUSH, type Tool } from "../viewer/painting";
import type { Editing, SaveState } from "./editing_state";
import { accept, complete, save } from "./queue";
import { Button, Check, Slider } from "../shell/controls";

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
          <Button
            key={name}
            class={bench.tool.value === name ? "tool chosen" : "tool"}
            aria-pressed={bench.tool.value === name}
            testid={`tool-${name}`}
            onClick={() => (bench.tool.value = name)}
          >
            {label} <kbd>{key}</kbd>
          </Button>
        ))}
      </div>
      <Slider
        word="Size"
        min={SMALLEST_BRUSH}
        max={SLIDER_BRUSH}
        value={diameter}
        testid="brush-size"
        onInput={(value) => setPreferences({ diameter: value })}
        shown={`${diameter} px`}
      />
      <div class="button-row">
        <Button testid="undo" disabled={!editing.canUndo()} onClick={editing.undo}>
          Undo <kbd>Z</kbd>
        </Button>
        <Button testid="redo" disabled={!editing.canRedo()} onClick={editing.redo}>
          Redo <kbd>⇧Z</kbd>
        </Button>
        <Button testid="reset-mask" disabled={!editing.proposal} onClick={editing.reset}>
          Proposal
        </Button>
        <Button testid="clear-mask" onClick={editing.clear}>Empty</Button>
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
      <Slider
        word="Mask"
        min={0}
        max={1}
        step={0.05}
        value={maskOpacity}
        aria-label="Opacity of the mask"
        testid="mask-opacity"
        onInput={(value) => setPreferences({ maskOpacity: value })}
        shown={`${Math.round(maskOpacity * 100)} %`}
      />
      <Check
        checked={uncertain}
        disabled={!editing.uncertain}
        testid="toggle-uncertain"
        onChange={(checked) => setPreferences({ uncertain: checked })}
      >
        <span class="swatch uncertain" aria-hidden="true" />
        {editing.uncertain ? "Areas worth a look" : "No areas in doubt are known here"}
      </Check>
      <p class="quiet">
        Hold <kbd>H</kbd> to see bare tissue, <kbd>Space</kbd> to pan or to click another patch open.
      </p>
    </section>
  );
}

/** Strokes reach over the patch's border: what Save does with them. */
function Around({ editing }: { editing: Editing }) {
  const count = editing.painted.value;
  if (count === 0) return null;
  return (
    <p class="quiet" role="status" data-testid="painted-around" data-count={count}>
      Strokes on {count === 1 ? "a patch" : `${count} patches`} around this one are saved with it, all
      or none. There they count where you painted, until somebody completes{" "}
      {count === 1 ? "it" : "them"}.
    </p>
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
          <Button testid="conflict-read-theirs" onClick={() => void editing.readTheirs()}>
            Read theirs again
          </Button>
        ) : (
          <Button testid="conflict-theirs" disabled={!editing.theirsReady} onClick={editing.takeTheirs}>
            Use theirs
          </Button>
        )}
        <Button class="primary" testid="conflict-mine" onClick={() => void editing.keepMine()}>
          Save mine on top
        </Button>
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
      <Around editing={editing} />
      {editing.refused.length > 0 && (
        <Button class="wide" testid="leave-out" onClick={editing.leaveOut}>
          Leave out the strokes there
        </Button>
      )}
      <div class="button-row main-row">
        <Button
          testid="accept"
          disabled={saving || conflict || !editing.isProposal()}
          title={editing.isProposal() ? "" : "Only an unchanged proposal can be accepted"}
          onClick={() => void accept()}
        >
          Accept <kbd>A</kbd>
        </Button>
        {/* it stays where it was when a conflict comes up: a click that was on its way asks first */}
        <Button
          class={conflict ? "" : "primary"}
          testid="save"
          disabled={saving}
          onClick={() => void save()}
        >
          Save <kbd>S</kbd>
        </Button>
      </div>
      <p
        class={`save-state ${editing.state}`}
        data-testid="save-state"
        data-state={editing.state}
        data-written={editing.written}
        role="status"
      >
        <i aria-hidden="true" />
        {editing.state === "conflict"
          ? STATE_WORDS.conflict
          : editing.message || STATE_WORDS[editing.state]}
      </p>
      <Button class="wide" testid="complete" disabled={saving || conflict} onClick={() => void complete()}>
        Complete, and next <kbd>Enter</kbd>
      </Button>
      <Check
        checked={page.preferences.value.advance}
        testid="auto-advance"
        onChange={(advance) => setPreferences({ advance })}
      >
        Go on to the next patch after saving
      </Check>
    </section>
  );
}
