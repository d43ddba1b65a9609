"""A first phase in which labels alone teach: pseudo-labels of a network that knows nothing yet
teach it to find nothing (eugmt.md §4.5). Not the paper's; part of `eugmt-plus`.
"""

from torch import Tensor, nn

from models.semisup.eugmt_options import EugmtOptions

Pair = tuple[nn.Module, nn.Module]


class LabelsFirst:
    """The steps before `start`. With `fork` student 1 learns for both and student 2 parts from it.

    Then a step costs half as much, and the average of two networks of one origin is a network.
    """

    def __init__(self, students: Pair, options: EugmtOptions, *, steps: int) -> None:
        self.students = students
        self.start = round(steps * options.labelled_share)
        self.forks = options.fork and self.start > 0
        self.now = False
        if self.forks:
            self.tie()

    def lasts(self, step: int) -> bool:
        """Return whether labels alone teach in this step."""
        self.now = step < self.start
        return self.now

    def learners(self, step: int) -> tuple[nn.Module, ...]:
        """Return who learns, and whom the teacher follows, in a step."""
        return self.students[:1] if self.forks and step < self.start else self.students

    def after_update(self, step: int) -> None:
        """Have the students be one network when the phase ends."""
        if self.forks and step == self.start - 1:
            # their weights are the same already, batch norm's statistics are not
            first, second = self.students
            second.load_state_dict(first.state_dict())

    def tie(self) -> None:
        """Have student 2 get student 1's gradients while that one learns for both.

        So it has the same moments in the optimiser when they part: without moments its first
        steps would each be as long as the learning rate, in every weight.
        """
        first, second = self.students
        second.load_state_dict(first.state_dict())
        for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
            if not ours.requires_grad:
                continue

            def give(weight: Tensor, other: nn.Parameter = theirs) -> None:
                if self.now:
                    other.grad = weight.grad

            ours.register_post_accumulate_grad_hook(give)  # type: ignore[no-untyped-call]
