"""Probabilities of patches by networks that were trained without them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.inference import TorchPredictor
from models.label_issues import Folding
from models.training import Progress, Stopped, TrainingConfig, never, train, unreported
from models.whole_file import whole_file

Images = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Judgement:
    """What networks say of patches that they never learned from.

    probability: float32 (N, H, W), the teachers' of membrane. weights: sha256 of each fold's.
    """

    probability: Probability
    weights: tuple[str, ...]


def out_of_fold(
    config: TrainingConfig,
    images: Images,
    masks: Images,
    unlabelled: Images,
    dealt: Folding,
    *,
    workdir: Path,
    progress: Progress = unreported,
    stopping: Callable[[], bool] = never,
) -> Judgement:
    """Train a teacher for each fold and let it see the patches left out.

    Each fold's network begins anew: one that went on from trained weights would know the masks
    it is to judge. images: uint8 (N, H, W, 3), masks: uint8 (N, H, W), unlabelled: uint8
    (M, H, W, 3), M may be 0. Finished folds and checkpoints lie in `workdir`, which belongs to
    this call alone: stopped (raises Stopped) or killed, the same call goes on from there.
    `progress(step, of, losses)` counts the steps of all folds.
    """
    probability = np.zeros(masks.shape, np.float32)
    weights = []
    for fold in range(dealt.count):
        left_out = dealt.left_out(fold)
        folder = workdir / f"fold-{fold}"
        stored, named = folder / "probability.npy", folder / "weights.sha256"
        if not stored.exists():

            def counted(step: int, steps: int, losses: dict[str, float], fold: int = fold) -> None:
                progress(fold * steps + step, dealt.count * steps, losses)

            learned = dealt.learned(fold)
            trained = train(
                config,
                images[learned],
                masks[learned],
                unlabelled if len(unlabelled) else images[learned],
                workdir=folder,
                progress=counted,
                stopping=stopping,
            )
            predictor = TorchPredictor(trained.path, device=config.device)
            named.write_text(trained.sha256)
            keep(stored, predicted(predictor, images[left_out], stopping))
        probability[left_out] = np.load(stored)
        weights.append(named.read_text())
    return Judgement(probability, tuple(weights))


def predicted(
    predictor: TorchPredictor, images: Images, stopping: Callable[[], bool]
) -> Probability:
    """Predict patches, a batch at a time. Raises Stopped."""
    parts = []
    for start in range(0, len(images), predictor.batch_size):
        if stopping():
            raise Stopped
        parts.append(predictor(images[start : start + predictor.batch_size]).probability)
    return np.concatenate(parts)


def keep(path: Path, probability: Probability) -> None:
    """Write a fold's result, whole or not at all."""
    with whole_file(path) as fresh, fresh.open("wb") as file:
        np.save(file, probability)
