"""Which patches to ask for next: the strategies that active learning is measured with.

Each looks at what the networks say of the patches without labels and returns `count` of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import areas, selection
from models.areas import Doubt
from models.prediction import Prediction

Chosen = npt.NDArray[np.intp]
Scores = npt.NDArray[np.float64]
TINY = 1e-12
FOREGROUND = 2 / 3


@dataclass(frozen=True)
class Pool:
    """Patches without labels, and what is known of them.

    prediction: the teacher's probability and the students' labels; members: float32 (M, N, H, W),
    the probabilities of teacher and students; features: (N, D) of the patches, and of those that
    are labelled (L, D); groups: the slide of each patch.
    """

    prediction: Prediction
    members: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    labelled_features: npt.NDArray[np.float32]
    groups: tuple[str, ...]


def entropy_of(probability: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Binary entropy in nats."""
    p = np.clip(probability.astype(np.float64), TINY, 1 - TINY)
    nats: npt.NDArray[np.float64] = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    return nats


def best(scores: Scores, count: int, generator: np.random.Generator) -> Chosen:
    """Return the highest; ties by a draw."""
    drawn = generator.permutation(len(scores))
    return np.sort(drawn[np.argsort(-scores[drawn], kind="stable")[:count]])


def at_random(pool: Pool, count: int, generator: np.random.Generator) -> Chosen:
    return np.sort(generator.permutation(len(pool.features))[:count])


def at_random_foreground(pool: Pool, count: int, generator: np.random.Generator) -> Chosen:
    """Two thirds of the draws where membrane is proposed, by how much: a strong simple rival.

    After the foreground-aware random of nnActive (Lüth et al., TMLR 2025), of which no method is
    reliably ahead; there the share of foreground is 66 %, too.
    """
    drawn = generator.permutation(len(pool.features)).tolist()
    proposed = (pool.prediction.probability >= 0.5).mean((1, 2))
    # the largest of u^(1/w) is a draw without replacement by weight (Efraimidis and Spirakis 2006)
    keys = generator.random(len(proposed)) ** (1 / np.maximum(proposed, 1e-6))
    first = np.argsort(-keys)[: round(FOREGROUND * count)].tolist()
    rest = [each for each in drawn if each not in set(first)]
    return np.sort(np.array((first + rest)[:count], np.intp))


def by_entropy(pool: Pool, count: int, generator: np.random.Generator) -> Chosen:
    """Highest mean entropy of the teacher."""
    return best(entropy_of(pool.prediction.probability).mean((1, 2)), count, generator)


def by_margin(pool: Pool, count: int, generator: np.random.Generator) -> Chosen:
    """Smallest mean distance between the teacher's two class probabilities."""
    margin = np.abs(2 * pool.prediction.probability.astype(np.float64) - 1)
    return best(-margin.mean((1, 2)), count, generator)


def by_disagreement(pool: Pool, count: int, generator: np.random.Generator) -> Chosen:
    """Highest mutual information of label and network (BALD, Houlsby et al., arXiv 1112.5745).

    The teacher and the students stand for draws of the posterior.
    """
    whole = entropy_of(pool.members.mean(0, dtype=np.float64)).mean((1, 2))
    each = np.mean([entropy_of(member).mean((1, 2)) for member in pool.members], axis=0)
    return best(whole - each, count, generator)


def by_core_set(pool: Pool, count: int, generator: np.random.Generator) -> Chosen:
    """Greedy k-centre over the features (Sener and Savarese, ICLR 2018)."""
    everything = np.concatenate([pool.features, pool.labelled_features])
    scale = everything.std(0)
    scale = np.where(scale > 0, scale, 1)
    points, centres = pool.features / scale, pool.labelled_features / scale
    nearest = np.full(len(points), np.inf)
    for centre in centres:
        nearest = np.minimum(nearest, np.linalg.norm(points - centre, axis=1))
    chosen: list[int] = []
    for _ in range(min(count, len(points))):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
        nearest[chosen] = -1
    return np.sort(np.array(chosen, np.intp))


def ours(pool: Pool, count: int, generator: np.random.Generator) -> Chosen:
    """Membrana's queue: areas worth a look and entropy, spread over unlike patches and slides."""
    return queued(pool, count, generator, "entropy")


def by_selector(pool: Pool, count: int, generator: np.random.Generator) -> Chosen:
    """The queue by the paper's selector in place of the entropy's areas."""
    return queued(pool, count, generator, "selector")


def queued(pool: Pool, count: int, generator: np.random.Generator, doubt: Doubt) -> Chosen:
    prediction = pool.prediction
    uncertain = areas.worth_a_look(prediction.probability, prediction.students, doubt)
    stored = selection.quantised(prediction.probability)
    scores = selection.patch_scores(stored, uncertain)
    patches = [
        Candidate(*figures)
        for figures in zip(
            scores.flagged_fraction.tolist(),
            scores.entropy.tolist(),
            scores.score.tolist(),
            strict=True,
        )
    ]
    ranked = selection.rank(
        patches,
        pool.features,
        pool.groups,
        cap=max(1, count // 2),
        seed=int(generator.integers(2**31)),
    )
    return np.sort(np.array([each.index for each in ranked[:count]], np.intp))


@dataclass(frozen=True)
class Candidate:
    """A patch as the queue sees it."""

    flagged_fraction: float
    entropy: float
    score: float


STRATEGIES: dict[str, Callable[[Pool, int, np.random.Generator], Chosen]] = {
    "random": at_random,
    "foreground": at_random_foreground,
    "entropy": by_entropy,
    "margin": by_margin,
    "bald": by_disagreement,
    "core-set": by_core_set,
    "ours": ours,
    "selector": by_selector,
}
