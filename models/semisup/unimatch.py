"""FixMatch and UniMatch: what a network is sure of on a weak view it shall say of perturbed ones.

Sources: Sohn et al., NeurIPS 2020 (FixMatch, eq. 4); Yang, Qi, Feng, Zhang and Shi, CVPR 2023
(UniMatch V1: two strong views and one of dropped features); eugmt.md §2.15.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.networks import decode, encode
from models.semisup.losses import segmentation_loss
from models.semisup.method import Batch, Grow, Losses, Options
from models.semisup.passes import passes
from models.semisup.paste import cut_boxes, partners, paste
from models.semisup.schedules import rise


@dataclass(frozen=True)
class UniMatchOptions(Options):
    """Defaults of UniMatch V1."""

    loss: str = "dice+ce"
    unsupervised_weight: float = 1.0
    labelled_share: float = 0.0
    """Share of the training in which the network learns from labels alone."""
    ramp_share: float = 0.0
    """Share of the training over which the unsupervised losses rise; the papers know no ramp."""
    confidence: float = 0.95
    """The probability from which on a label of the weak view is taught."""
    strong_views: int = 2
    strong_weight: float = 0.5
    """Weight of the strong views' mean."""
    feature_weight: float = 0.5
    """Weight of the view of dropped features; 0: none is taken."""
    dropout: float = 0.5
    """Share of the encoder's channels that are dropped."""
    joint_batches: bool = False
    """Show labelled and unlabelled images in one batch, and the strong views in another."""
    smallest_cut: float = 0.1
    largest_cut: float = 0.5
    """Least and largest share of a strong view's area that another one is pasted over."""


@dataclass(frozen=True)
class FixMatchOptions(UniMatchOptions):
    """FixMatch: one strong view."""

    strong_views: int = 1
    strong_weight: float = 1.0
    feature_weight: float = 0.0


class UniMatch:
    """One network, which teaches itself."""

    def __init__(self, student: nn.Module, options: UniMatchOptions, *, steps: int) -> None:
        self.students = (student,)
        self.teacher = student
        self.extras: tuple[nn.Module, ...] = ()
        self.options = options
        self.steps = steps

    def updates(self, batch: Batch, step: int) -> Iterator[Losses]:
        options = self.options
        rising = rise(step, self.steps, after=options.labelled_share, during=options.ramp_share)
        labelled = batch.labelled_strong if options.strong_labelled else batch.labelled
        if not rising:
            supervised = self.supervised(self.teacher(labelled), batch)
            yield {"total": supervised, "supervised": supervised}
            return
        on_labelled, weak, dropped = self.weak_and_dropped(labelled, batch.unlabelled)
        confidence, labels = weak.detach().softmax(1).max(1)
        sure = confidence >= options.confidence
        losses = {
            "supervised": self.supervised(on_labelled, batch),
            "strong": self.strong(batch, labels, sure),
        }
        unsupervised = options.strong_weight * losses["strong"]
        if dropped is not None:
            losses["features"] = sure_cross_entropy(dropped, labels, sure)
            unsupervised = unsupervised + options.feature_weight * losses["features"]
        weight = rising * options.unsupervised_weight
        yield {"total": losses["supervised"] + weight * unsupervised, **losses}

    def supervised(self, logits: Tensor, batch: Batch) -> Tensor:
        return segmentation_loss(self.options.loss, logits, batch.labels, batch.valid)

    def weak_and_dropped(
        self, labelled: Tensor, unlabelled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the logits of labelled and unlabelled images and of the latter's rest of features.

        The encoder sees an unlabelled image once.
        """
        network, parts, joint = self.teacher, [labelled, unlabelled], self.options.joint_batches
        if not self.options.feature_weight:
            on_labelled, weak = passes(network, parts, joint=joint)
            return on_labelled, weak, None
        if not joint:
            features = encode(network, unlabelled)
            return (
                network(labelled),
                decode(network, features),
                decode(network, self.drop(features)),
            )
        features = encode(network, torch.cat(parts))
        dropped = self.drop([level[len(labelled) :] for level in features])
        logits = decode(network, [torch.cat(pair) for pair in zip(features, dropped, strict=True)])
        sizes = [len(labelled), len(unlabelled), len(unlabelled)]
        on_labelled, weak, of_dropped = torch.split(logits, sizes)
        return on_labelled, weak, of_dropped

    def drop(self, features: list[Tensor]) -> list[Tensor]:
        return [F.dropout2d(level, self.options.dropout) for level in features]

    def strong(self, batch: Batch, labels: Tensor, sure: Tensor) -> Tensor:
        """Return the mean loss of the strong views, each with a box of another image pasted in."""
        options, views, targets, counted = self.options, [], [], []
        for view in batch.unlabelled_strong[: options.strong_views]:
            partner = partners(view)
            box = cut_boxes(view, smallest=options.smallest_cut, largest=options.largest_cut)
            views.append(paste(view[partner], view, box))
            targets.append(paste(labels[partner], labels, box))
            counted.append(paste(sure[partner], sure, box))
        logits = passes(self.teacher, views, joint=options.joint_batches)
        # views of one size: the mean over all of them is the mean of their means
        return sure_cross_entropy(torch.cat(logits), torch.cat(targets), torch.cat(counted))

    def after_update(self, step: int) -> None:
        """Nothing follows."""


def sure_cross_entropy(logits: Tensor, labels: Tensor, sure: Tensor) -> Tensor:
    """Cross entropy where the label is sure and 0 elsewhere, mean over all pixels."""
    return (F.cross_entropy(logits, labels, reduction="none") * sure).mean()


def unimatch(grow: Grow, options: UniMatchOptions, steps: int) -> UniMatch:
    return UniMatch(grow(0), options, steps=steps)
