/** Short messages at the edge of the page, read out by screen readers. */

import { useEffect, useState } from "preact/hooks";

export interface Notice {
  id: number;
  text: string;
  tone: "info" | "good" | "bad";
}

const STAYS_MS = 7000;
let number = 0;
let tell: (notice: Notice) => void = () => undefined;

export function notify(text: string, tone: Notice["tone"] = "info"): void {
  number += 1;
  tell({ id: number, text, tone });
}

export function Notices() {
  const [notices, setNotices] = useState<Notice[]>([]);
  const drop = (id: number): void => setNotices((old) => old.filter((notice) => notice.id !== id));
  useEffect(() => {
    tell = (notice) => {
      setNotices((old) => [...old.filter((other) => other.text !== notice.text), notice].slice(-3));
      if (notice.tone !== "bad") setTimeout(() => drop(notice.id), STAYS_MS);
    };
  }, []);
  return (
    <div class="notices" data-testid="notices" role="status" aria-live="polite">
      {notices.map((notice) => (
        <div key={notice.id} class={`notice ${notice.tone}`}>
          <span>{notice.text}</span>
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => drop(notice.id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
