/** The next patches with their pictures and why they come; and how far it is to the next model. */

import { untilLearning } from "../learning/learning";
import { work } from "../store";
import { Button } from "../shell/controls";
import { coming, nextOf } from "./queue";

export function FilmStrip({ busy }: { busy: boolean }) {
  const patches = coming();
  if (patches.length === 0) return null;
  return (
    <section class="coming" aria-label="Next patches">
      <h2>Next</h2>
      <ol data-testid="film-strip">
        {patches.map(({ patch, reason, thumbnail }) => (
          <li key={patch.id}>
            <Button
              testid="coming-patch"
              data-patch-id={patch.id}
              disabled={busy}
              title={reason.text}
              onClick={() => void nextOf(patch.id)}
            >
              <img src={thumbnail} alt="" width={56} height={56} loading="lazy" />
              <span>{reason.text}</span>
            </Button>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** In sight whatever the panel is about: what the work is for. */
export function UntilLearning() {
  const words = untilLearning(work.rounds.value);
  if (!words) return null;
  return (
    <p class="until-learning" role="status" data-testid="until-learning">
      {words}
    </p>
  );
}
