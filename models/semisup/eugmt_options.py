"""Every switch of EUGMT in one place."""

from dataclasses import dataclass

from models.semisup.mixing import MIXTURES
from models.semisup.selector import SelectorOptions

ALONE = 0.1
"""A student with less than this share of the teacher's target leaves it the other's average."""


@dataclass(frozen=True)
class EugmtOptions(SelectorOptions):
    """The switches of eugmt.md §1.3 and §4; defaults are the paper's (`eugmt-paper`).

    `benchmarks/ablation.toml` turns each. Raises ValueError for a word that is no choice.
    """

    unsupervised_weight: float = 1.0
    consistency_weight: float = 1.0
    consistency_of: str = "probability"
    """Or `logit` (gap 5)."""
    consistency_over: str = "flagged"
    """What eq. 14 divides by; or all `pixels` (gap 4)."""
    pair_reduction: str = "mean"
    """Of the two students' unsupervised losses; or their `sum`, eqs. 10 and 12 (gap 2)."""
    thin_weight: float = 0.0
    """Of soft-clDice beside the supervised loss (eugmt.md §4.7)."""
    weak_share: float = 0.0
    """Of a batch's labelled images, where students see strong views: so many are seen as they are.
    Strong views alone cost where nothing changes between labels and use, none where all does."""
    labelled_share: float = 0.0
    """Share of the training in which the students learn from labels alone (eugmt.md §4.5):
    pseudo-labels of a network that knows nothing yet teach it to find nothing."""
    fork: bool = False
    """While there are labels alone student 1 learns for both; then student 2 goes on from there.
    A step costs half as much, and the average of two networks of one origin is a network."""
    settled: float = 0.0
    """Share of batch norm's statistics that whole unlabelled images give when pseudo-labels begin
    after labels alone, from when on they are fixed: see `settling`."""
    ramp_share: float = 1.0
    """Share of the training over which the unsupervised losses rise, once they have begun."""
    ramp_consistency: bool = True
    """False: the consistency has its whole weight from its first step on (gap 1)."""
    ema_limit: float = 0.99
    student_mix: float = 0.99
    """Share of student 1 in the teacher's target (beta, gap 12)."""
    alternating: bool = False
    """The teacher follows the students by turns, instead of their mix (eugmt.md §4.2)."""
    exchanged: int = 2
    """Cells that each map gives away; 0: there is no second update."""
    grid: int = 16
    mixing: str = "none"
    """What unlabelled images are mixed with: see `mixing.MIXTURES` (eugmt.md §4.4, §4.5)."""
    unlabelled_includes_labelled: bool = False
    """Draw unlabelled images from the labelled ones, too (gap 19)."""
    steady_teacher: bool = False
    """EMA of the buffers too, and the teacher in eval mode (eugmt.md §4.1)."""
    confidence: float = 0.0
    """A pseudo-label counts where its giver's probability is at least this."""
    joint_batches: bool = False
    """Students see labelled and unlabelled images in one batch, so that batch norm does, too."""

    @property
    def cells(self) -> int:
        return self.grid

    @property
    def learns_labelled_twice(self) -> bool:
        return self.unlabelled_includes_labelled

    def __post_init__(self) -> None:
        for switch, choices in CHOICES.items():
            if (value := getattr(self, switch)) not in choices:
                known = ", ".join(choices)
                raise ValueError(f"{switch} can't be {value!r}; choose one of {known}.")
        for switch in ("settled", "weak_share"):
            if not 0 <= (share := getattr(self, switch)) <= 1:
                raise ValueError(f"{switch} is a share from 0 to 1, not {share!r}.")
        mixed = self.alternating or not (self.student_mix < ALONE or self.student_mix > 1 - ALONE)
        if mixed and not (self.fork and self.labelled_share):
            raise ValueError(
                "a teacher that is the average of two students of different origin finds nothing: "
                "let them come from one (fork, with a labelled_share above 0), or follow one "
                f"(student_mix above {1 - ALONE:g})."
            )


CHOICES = {
    "consistency_of": ("probability", "logit"),
    "consistency_over": ("flagged", "pixels"),
    "pair_reduction": ("mean", "sum"),
    "mixing": tuple(MIXTURES),
    "consistency_at": ("doubtful", "trusted", "everywhere", "weighted"),
    "scope": ("batch", "image"),
    "absent_fallback": ("zero", "full_mse"),
}
