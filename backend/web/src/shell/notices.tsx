/** Short messages at the edge of the page, read out by screen readers. */

import { effect } from "@preact/signals";
import { page } from "../store";
import { Button } from "./controls";

export interface Notice {
  id: number;
  text: string;
  tone: "info" | "good" | "bad";
}

const STAYS_MS = 7000;
let number = 0;

/** Returns how to take it back. */
export function notify(text: string, tone: Notice["tone"] = "info"): () => void {
  const id = (number += 1);
  const others = page.notices.value.filter((notice) => notice.text !== text);
  page.notices.value = [...others, { id, text, tone }].slice(-3);
  if (tone !== "bad") setTimeout(() => drop(id), STAYS_MS);
  return () => drop(id);
}

/** Say what is wrong for as long as it is: `holds` is asked anew when a fact that it read changes. */
export function notifyWhile(holds: () => boolean, text: string): void {
  const takeBack = notify(text, "bad");
  const stop = effect(() => {
    if (holds()) return;
    queueMicrotask(() => {
      stop();
      takeBack();
    });
  });
}

function drop(id: number): void {
  page.notices.value = page.notices.value.filter((notice) => notice.id !== id);
}

export function Notices() {
  return (
    <div class="notices" data-testid="notices" role="status" aria-live="polite">
      {page.notices.value.map((notice) => (
        <div key={notice.id} class={`notice ${notice.tone}`}>
          <span>{notice.text}</span>
          <Button class="plain" aria-label="Dismiss" onClick={() => drop(notice.id)}>×</Button>
        </div>
      ))}
    </div>
  );
}
