"""Contrasts between features: every query against its own key and against many others.

A table of all queries and all keys can be larger than a GPU's memory, so it is made row by row
and made again in the backward pass.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

ROWS = 1024
"""Queries at a time: 1,024 against 4,096 keys are 16 MiB."""


def by_rows(loss: Callable[..., Tensor], *rows: Tensor, size: int = ROWS) -> Tensor:
    """Return loss(*rows), one value a row, made of `size` rows at a time."""
    if len(rows[0]) <= size:
        return loss(*rows)
    parts = zip(*(torch.split(each, size) for each in rows), strict=True)
    losses: list[Tensor] = [
        checkpoint(loss, *part, use_reentrant=False, preserve_rng_state=False) for part in parts
    ]
    return torch.cat(losses)


def pixel_contrast(queries: Tensor, keys: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE of each query (P, C) with its own key (P, C) against all other keys: (P,).

    -log(exp(q_i k_i / T) / sum_j exp(q_i k_j / T)); the keys are constants.
    """
    keys = keys.detach()
    own = torch.arange(len(keys), device=keys.device)

    def loss(part: Tensor, places: Tensor) -> Tensor:
        return F.cross_entropy(part @ keys.T / temperature, places, reduction="none")

    return by_rows(loss, queries, own)


def repulsion(queries: Tensor, keys: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE of each query (P, C) without a match, all keys (N, C) being negatives: (P,).

    log(1 + sum_j exp(q_i k_j / T)), the missing match's logit being 0; the keys are constants.
    """
    keys = keys.detach()

    def loss(part: Tensor) -> Tensor:
        return F.softplus(torch.logsumexp(part @ keys.T / temperature, 1))

    return by_rows(loss, queries)


def labelled_contrast(
    queries: Tensor,
    keys: Tensor,
    query_labels: Tensor,
    negatives: Tensor,
    negative_labels: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """InfoNCE of each query (P, C) with its own key against the negatives (N, C) of another
    label: (P,). Labels int64 (P,) and (N,); keys and negatives are constants.

    Without a negative the loss is 0.
    """
    keys, negatives = keys.detach(), negatives.detach()

    # as a logit too low to count, but a number: a row without negatives has a gradient of 0
    nothing = torch.finfo(queries.dtype).min / 2

    def loss(part: Tensor, key: Tensor, labels: Tensor) -> Tensor:
        part = part / temperature
        same = labels.unsqueeze(1) == negative_labels
        others = (part @ negatives.T).masked_fill(same, nothing)
        return F.softplus(torch.logsumexp(others, 1) - (part * key).sum(1))

    return by_rows(loss, queries, keys, query_labels)
