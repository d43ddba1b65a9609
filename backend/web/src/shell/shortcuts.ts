/** The keyboard map in one place: what runs, and what the help shows. */

export interface Shortcut {
  keys: string[];
  label: string;
  /** Runs once at key down; `release` at key up makes it a held key. */
  run: () => void;
  release?: () => void;
  repeats?: boolean;
}

/** The name of a pressed key: `z`, `shift+z`, `ctrl+z`, `space`; Cmd counts as Ctrl. */
export function keyName(event: {
  key: string;
  code: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}): string {
  const name = event.code === "Space" ? "space" : event.key.toLowerCase();
  const letter = /^[a-z]$/.test(name) || name.length > 1;
  return [
    event.ctrlKey || event.metaKey ? "ctrl+" : "",
    event.altKey ? "alt+" : "",
    event.shiftKey && letter ? "shift+" : "",
    name,
  ].join("");
}

function typing(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.tagName) return false;
  if (element.tagName === "INPUT") {
    return !["range", "checkbox", "radio", "button"].includes((element as HTMLInputElement).type);
  }
  return element.tagName === "TEXTAREA" || element.tagName === "SELECT";
}

const PRESSING: ReadonlySet<string> = new Set(["space", "enter"]);

/** Space and Enter belong to a control that the keyboard has reached. */
function pressable(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return element?.matches?.("button, a, summary, input") === true;
}

/**
 * Give the keyboard back to the page after a control was clicked with the pointer: the next Space
 * is to pan, not to press that button again.
 */
export function releaseFocus(event: MouseEvent): void {
  const byPointer = event.detail > 0;
  const active = document.activeElement;
  if (byPointer && active instanceof HTMLElement && pressable(active) && !typing(active)) {
    active.blur();
  }
}

/** Listen on the window; returns the stop. `shortcuts` is asked at each key, so it may change. */
export function listenToKeys(shortcuts: () => Shortcut[]): () => void {
  const held = new Map<string, Shortcut>();

  function down(event: KeyboardEvent): void {
    // behind a question the page waits, wherever the focus is
    if (typing(event.target) || document.querySelector("dialog:modal")) return;
    const name = keyName(event);
    const shortcut = shortcuts().find((candidate) => candidate.keys.includes(name));
    if (!shortcut || (PRESSING.has(name) && pressable(event.target))) return;
    event.preventDefault();
    if (event.repeat && !shortcut.repeats) return;
    if (shortcut.release) held.set(event.code, shortcut);
    shortcut.run();
  }
  function up(event: KeyboardEvent): void {
    const shortcut = held.get(event.code);
    if (!shortcut) return;
    event.preventDefault(); // else a focused button is pressed when Space is let go
    held.delete(event.code);
    shortcut.release?.();
  }
  function letGo(): void {
    for (const shortcut of held.values()) shortcut.release?.();
    held.clear();
  }
  window.addEventListener("keydown", down);
  window.addEventListener("keyup", up);
  window.addEventListener("blur", letGo);
  return () => {
    letGo();
    window.removeEventListener("keydown", down);
    window.removeEventListener("keyup", up);
    window.removeEventListener("blur", letGo);
  };
}
