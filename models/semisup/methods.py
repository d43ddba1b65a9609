"""Every method by name: a new one is its own file and one line here."""

from collections.abc import Callable

from torch import nn

from models.semisup.eugmt import MeanTeacherOptions, mean_teacher
from models.semisup.method import Method
from models.semisup.supervised import supervised

Grow = Callable[[int], nn.Module]
"""Makes the n-th network of a training, in training mode: 0 the teacher, then the students."""

METHODS: dict[str, Callable[[Grow, MeanTeacherOptions, int], Method]] = {
    "eugmt": mean_teacher,
    "supervised": supervised,
}
"""Name -> factory(grow, options, steps)."""
