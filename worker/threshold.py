"""From which probability on a trained version proposes membrane: held-out slides choose it.

The gold slides serve, so that nothing that a person drew is withheld from learning. They also
judge, so each is judged at the threshold that the other slides choose, never at its own
(docs/rounds.md). Patches held out of slides that are learned from choose nothing: they are alike.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.kit.storage.blobs import Blobs
from backend.learning.rounds.snapshot import Snapshot
from backend.slides.patches.tables import PatchRole
from models.metrics.threshold import HALF, LEAST_GROUPS, Carried, carried
from models.networks import save_with_threshold
from worker.evaluation import Evaluation, Seen


@dataclass(frozen=True)
class Choice:
    """The threshold of a version, in words, and what it is judged by."""

    carried: Carried
    reason: str

    @property
    def threshold(self) -> float:
        return self.carried.threshold

    def figures(self) -> dict[str, Any]:
        """Return what the metrics of the version and of its round show."""
        return {
            "value": self.threshold,
            "slides": self.carried.groups,
            "dice": self.carried.dice,
            "dice_at_half": self.carried.dice_at_half,
            "reason": self.reason,
        }


NOT_JUDGED = Choice(
    Carried(HALF, 0, {}),
    "Proposes from a probability of 0.5: too few held-out masks count to choose another.",
)


def unseen_slides(snapshot: Snapshot) -> frozenset[str]:
    """Return the slides that are held out whole, by their sha256."""
    learned = {patch.slide_sha256 for patch in snapshot.of_role(PatchRole.TRAINING)}
    held_out = {patch.slide_sha256 for patch in snapshot.of_role(PatchRole.GOLD)}
    return frozenset(held_out - learned)


def choose(evaluated: Seen, snapshot: Snapshot) -> Choice:
    """Choose on slides held out whole; `evaluated`: by the candidate, masks that count."""
    chosen = carried(evaluated.of_slides(unseen_slides(snapshot)))
    return Choice(chosen, words(chosen))


def judged(evaluated: Seen, choice: Choice) -> Evaluation:
    """Evaluate a candidate, each slide at the threshold that other slides chose.

    Patches of slides that are learned from, too, chose none: they are cut at the version's own.
    """
    return evaluated.cut(choice.carried.elsewhere, otherwise=choice.threshold)


def carried_by(blobs: Blobs, trained_sha256: str, choice: Choice, folder: Path) -> str:
    """Return the sha256 of the trained weights with their threshold, a blob by then.

    folder: where a file may be written before it is adopted, on the blobs' file system.
    """
    if choice.threshold == HALF:
        return trained_sha256
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "carrying.safetensors"
    sha256 = save_with_threshold(blobs.path(trained_sha256), choice.threshold, path)
    blobs.adopt(path, sha256)
    return sha256


def words(chosen: Carried) -> str:
    if chosen.dice is None or chosen.dice_at_half is None:
        return (
            f"Proposes from a probability of 0.5: another is chosen from {LEAST_GROUPS} slides on "
            "that are held out whole, show membrane and were drawn or corrected by a person; here "
            f"{'is' if chosen.groups == 1 else 'are'} {chosen.groups or 'none'}."
        )
    measured = (
        f"on each of {chosen.groups} held-out slides, cut where the others choose, the overlap is "
        f"{chosen.dice:.4f}, and {chosen.dice_at_half:.4f} at 0.5"
    )
    if chosen.threshold == HALF and not chosen.elsewhere:
        return f"Proposes from a probability of 0.5, since no other does better: {measured}."
    return f"Proposes from a probability of {chosen.threshold:.2f}: {measured}."
