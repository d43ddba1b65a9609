"""Every method by name: a new one is its own file and one line here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.semisup.eugmt import MeanTeacherOptions, mean_teacher
from models.semisup.method import Grow, Method, Options
from models.semisup.supervised import supervised


@dataclass(frozen=True)
class Recipe:
    """A method's options and what makes it: make(grow, options, steps)."""

    options: type[Options]
    make: Callable[[Grow, Any, int], Method]


METHODS = {
    "eugmt": Recipe(MeanTeacherOptions, mean_teacher),
    "supervised": Recipe(Options, supervised),
}
