"""Every method by name: a new one is its own file and one line here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.semisup.ac_mt import AmbiguityOptions, ambiguity_consensus
from models.semisup.bcp import BcpOptions, copy_paste
from models.semisup.cct import CrossConsistencyOptions, cross_consistency
from models.semisup.cps import CpsOptions, cross_pseudo
from models.semisup.crcfp import ContextOptions, context_consistency
from models.semisup.deep_supervised import DeepOptions, deep_supervised
from models.semisup.duo_segnet import DuoSegNetOptions, duo_segnet
from models.semisup.eugmt import eugmt
from models.semisup.eugmt_options import EugmtOptions
from models.semisup.mean_teacher import ConsistencyOptions, mean_teacher
from models.semisup.method import Grow, Method, Options
from models.semisup.mms import MinMaxOptions, min_max_similarity
from models.semisup.supervised import supervised
from models.semisup.ua_mt import UncertaintyOptions, uncertainty_aware
from models.semisup.unimatch import FixMatchOptions, UniMatchOptions, unimatch


@dataclass(frozen=True)
class Recipe:
    """A method's options and what makes it: make(grow, options, steps)."""

    options: type[Options]
    make: Callable[[Grow, Any, int], Method]


METHODS = {
    "ac-mt": Recipe(AmbiguityOptions, ambiguity_consensus),
    "bcp": Recipe(BcpOptions, copy_paste),
    "cct": Recipe(CrossConsistencyOptions, cross_consistency),
    "cps": Recipe(CpsOptions, cross_pseudo),
    "crcfp": Recipe(ContextOptions, context_consistency),
    "deep-supervised": Recipe(DeepOptions, deep_supervised),
    "duo-segnet": Recipe(DuoSegNetOptions, duo_segnet),
    "eugmt": Recipe(EugmtOptions, eugmt),
    "fixmatch": Recipe(FixMatchOptions, unimatch),
    "mean-teacher": Recipe(ConsistencyOptions, mean_teacher),
    "mms": Recipe(MinMaxOptions, min_max_similarity),
    "supervised": Recipe(Options, supervised),
    "ua-mt": Recipe(UncertaintyOptions, uncertainty_aware),
    "unimatch": Recipe(UniMatchOptions, unimatch),
}
