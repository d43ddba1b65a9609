"""A round's verdict, in a pathologist's words: which model proposes from now on, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.learning.rounds.gold_masks import Accepted
from backend.learning.rounds.tables import RoundState
from worker.evaluation import Evaluation


@dataclass(frozen=True)
class Gold:
    """Held-out masks: how many there are, how many may judge, and why the others may not.

    accepted: those that are a model's proposal; ignored: those of which every pixel is ignored.
    """

    held_out: int
    needed: int
    counted: int
    accepted: Sequence[Accepted] = ()
    ignored: int = 0

    def figures(self) -> dict[str, Any]:
        """Return what a round's metrics show beside those of the models."""
        return {
            "held_out": self.held_out,
            "needed": self.needed,
            "counted": self.counted,
            "accepted": [
                {"model_version": each.model_version, "patches": each.patches}
                for each in self.accepted
            ],
            "ignored": self.ignored,
        }

    def left_out(self) -> str:
        """Return why some do not count, as sentences that begin with a blank; empty if all do."""
        sentences = ""
        for each in self.accepted:
            sentences += (
                f" Not counted: {masks(each.patches)} accepted as {each.model_version} proposed "
                f"{them(each.patches)} (changed by less than 1 %), because that would measure "
                f"{each.model_version} by its own drawing."
            )
        if self.ignored:
            sentences += f" Not counted: {masks(self.ignored)} on which every pixel is ignored."
        return sentences


@dataclass(frozen=True)
class Verdict:
    """state: promoted, kept_back or not_judged."""

    state: RoundState
    reason: str
    metrics: dict[str, Any]

    @property
    def promoted(self) -> bool:
        return self.state == RoundState.PROMOTED


def masks(number: int) -> str:
    return f"{number} mask{'s' if number != 1 else ''}"


def them(number: int) -> str:
    return "them" if number != 1 else "it"


def patches(number: int) -> str:
    return f"{number} held-out patch{'es' if number != 1 else ''}"


def too_few(gold: Gold, active_name: str) -> Verdict:
    """Return the verdict where too few held-out masks count: no model is compared with another."""
    counts = "counts" if gold.counted == 1 else "count"
    reason = (
        f"Not enough to judge: {patches(gold.counted)} {counts}, and {gold.needed} are needed to "
        f"tell a better model from a lucky one.{gold.left_out()} {unused(active_name)} Go on "
        "annotating: about every fifth patch is held out by itself, and counts when you draw or "
        "correct its mask."
    )
    return Verdict(RoundState.NOT_JUDGED, reason, {"gold": gold.figures()})


def judge(candidate: Evaluation, active: Evaluation, active_name: str, gold: Gold) -> Verdict:
    """Promote what is not worse on the masks that count; what can't be told is not judged."""
    metrics = {
        "gold": {
            **gold.figures(),
            "candidate": candidate.figures(),
            "active": {**active.figures(), "name": active_name},
        }
    }
    number = patches(candidate.patches)
    if not candidate.pooled.membrane:
        reason = (
            f"Not enough to judge: no membrane is marked on the {number}, so nothing tells whether "
            f"this model is better.{gold.left_out()} {unused(active_name)} Annotate held-out "
            "patches that show membranes."
        )
        return Verdict(RoundState.NOT_JUDGED, reason, metrics)
    ours, theirs = candidate.pooled.dice, active.pooled.dice
    promoted = ours >= theirs
    measured = (
        f"overlap with your masks (Dice; 1 is all) on {number} is {ours:.4f}, and {theirs:.4f} for "
        f"{active_name}, the active model.{gold.left_out()}"
    )
    if promoted:
        reason = f"Promoted: {measured} The new model proposes from now on."
        return Verdict(RoundState.PROMOTED, reason, metrics)
    reason = f"Kept back: {measured} {unused(active_name)}"
    return Verdict(RoundState.KEPT_BACK, reason, metrics)


def unused(active_name: str) -> str:
    """Return what becomes of a model that is not promoted."""
    return (
        f"The new model is stored and not used: {active_name} goes on proposing, none of your "
        "masks is lost, and the next round learns from all of them again. Whoever has looked at "
        "what it proposes may activate it by hand."
    )
