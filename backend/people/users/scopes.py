"""What a token may be used for, beside its role: by method and address, so none is forgotten."""

import re
from collections.abc import Collection
from enum import StrEnum


class Scope(StrEnum):
    """READ: look at anything but people and the trail. METRICS: `/metrics` alone. UPLOAD: bring
    slides and say what they are. ANNOTATE: regions, masks, the queue, reviews. REPORT: scores and
    reports. TRAIN: predictions, rounds, model versions, jobs. MANAGE: people, tokens, the trail,
    deletion, and all else.
    """

    READ = "read"
    METRICS = "metrics"
    UPLOAD = "upload"
    ANNOTATE = "annotate"
    REPORT = "report"
    TRAIN = "train"
    MANAGE = "manage"


READS = frozenset({"GET", "HEAD", "OPTIONS"})
OF_PEOPLE = re.compile(r"/(users(?!/me$)|tokens|audit|webhooks)(/.*)?")
ADDRESSES = (
    (Scope.UPLOAD, re.compile(r"/uploads(/.*)?|/slides")),
    (
        Scope.ANNOTATE,
        re.compile(
            r"/(patches|queue|studies)(/.*)?"
            r"|/monai/(activelearning|infer|datastore)(/.*)?"
            r"|/slides/[^/]+/(regions|annotations\.geojson|edits|cells)(/.*)?"
        ),
    ),
    (Scope.REPORT, re.compile(r"/reports/.*|/slides/[^/]+/(reports|score)(/.*)?")),
    (
        Scope.TRAIN,
        re.compile(
            r"/(rounds|model-versions|label-issues|jobs|monai/train)(/.*)?"
            r"|/slides/[^/]+/predictions"
        ),
    ),
)
SLIDE = re.compile(r"/slides/[^/]+")


def needed(method: str, path: str) -> frozenset[Scope]:
    """Return the scopes of which a request needs one. path: below /api/v1."""
    if OF_PEOPLE.fullmatch(path):
        return frozenset({Scope.MANAGE})
    if path == "/metrics":
        return frozenset({Scope.METRICS, Scope.READ})
    if path == "/queue/next":
        # it puts a patch into the caller's hands
        return frozenset({Scope.ANNOTATE})
    allowed = {scope for scope, addresses in ADDRESSES if addresses.fullmatch(path)}
    if method in READS:
        return frozenset(allowed | {Scope.READ})
    if method == "PATCH" and SLIDE.fullmatch(path):
        return frozenset({Scope.UPLOAD})
    return frozenset(allowed or {Scope.MANAGE})


def allows(scopes: Collection[str] | None, method: str, path: str) -> bool:
    """Say whether a token's scopes allow a request; None: whatever its role allows."""
    return scopes is None or not needed(method, path).isdisjoint(scopes)
