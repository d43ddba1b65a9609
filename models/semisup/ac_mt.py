"""AC-MT with its confident-learning selector: Mean Teacher where the student's label is doubtful.

Source: Xu et al., Medical Image Analysis 88, 2023; eugmt.md §2.5. EUGMT took its selector from it.
"""

from dataclasses import dataclass

from torch import Tensor

from models.semisup.doubt import flagged
from models.semisup.mean_teacher import ConsistencyOptions, ConsistentStudent
from models.semisup.method import Batch, Grow


@dataclass(frozen=True)
class AmbiguityOptions(ConsistencyOptions):
    """Defaults of eugmt.md §2.5, but that a batch without one class gives no consistency."""

    labelled_share: float = 0.0
    ramp_share: float = 0.75
    drop_agreeing: bool = False
    """The cleanlab of its day kept pixels on which teacher and student agree."""
    least_share: float = 0.001
    """A class with a smaller share of the pixels is not judged by the selector."""


class AmbiguityStudent(ConsistentStudent):
    options: AmbiguityOptions

    def counted(self, batch: Batch, student: Tensor, step: int) -> Tensor:
        """Judge the student's labels by the teacher's look at the clean image."""
        probability = self.teacher(batch.unlabelled).softmax(1)[:, 1]
        return flagged(
            student.argmax(1).bool(),
            probability,
            drop_agreeing=self.options.drop_agreeing,
            least_count=round(self.options.least_share * probability.numel()),
        )


def ambiguity_consensus(grow: Grow, options: AmbiguityOptions, steps: int) -> AmbiguityStudent:
    return AmbiguityStudent(grow(1), grow(0), options, steps=steps)
