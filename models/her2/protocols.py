"""Scoring protocols: an ordered table from counts to category, read from protocols/*.toml.

The guideline is data, so that a pathologist can read it and a change of a rule is a new version
with a new sha256; decision.py only interprets it. A calibration (made on control tissue by
`membrana calibrate`) replaces thresholds, never rules.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from models.her2.classes import INDEX, SCORES, STAINED
from models.her2.flags import FATAL, FATAL_BY_COUNT, LIMITING

THRESHOLDS = ("t_faint", "t_weak", "t_moderate", "t_intense", "c_any", "c_full")
TESTS = ("over", "seen", "clustered", "any", "otherwise")
CALIBRATION_SCHEMA = "membrana.her2-calibration/1"
_GAP = "gap"


class ProtocolError(ValueError):
    """A protocol or a calibration that cannot be used; the text says what to change."""


class CalibrationInvalid(ProtocolError):
    """What was given as a calibration is none, or one of another protocol."""


@dataclass(frozen=True)
class Row:
    """One line of the decision table. `gap`: the policies under which it stands; empty: all."""

    when: str
    of: tuple[str, ...]
    score: str
    reason: str
    gap: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clusters:
    """What hangs together: DBSCAN with `core` cells (itself counted) within `radius_um`.

    A cluster has at least `cells`.
    """

    radius_um: float
    cells: int
    core: int


@dataclass(frozen=True)
class Calibration:
    """Thresholds measured on control tissue, with the day (ISO) and the sha256 of their file.

    `stain`: vectors of the laboratory ("haematoxylin", "dab", each three log10 OD), may be empty.
    `detector`: what found the nuclei of the controls (name, sha256 of its weights, …); None is the
    built-in rule, the only one there was before calibrations named it.
    """

    on: str
    sha256: str
    thresholds: Mapping[str, float] = field(hash=False)
    floor_permille: int | None = None
    floor_cells: int | None = None
    stain: Mapping[str, tuple[float, float, float]] = field(default_factory=dict, hash=False)
    detector: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Protocol:
    """A guideline as it is applied. Optical densities are log10; shares of the contour 0 to 1."""

    name: str
    version: str
    sha256: str
    title: str
    tissue: str
    source: str
    rows: tuple[Row, ...]
    groups: Mapping[str, tuple[str, ...]] = field(hash=False)
    bars: tuple[str, ...]
    limits: Mapping[str, tuple[str, ...]] = field(hash=False)
    words: Mapping[str, str] = field(hash=False)
    comparator: str
    cut_percent: int
    floor_permille: int
    floor_cells: int
    min_cells: int
    good_cells: int
    t_faint: float
    t_weak: float
    t_moderate: float
    t_intense: float
    c_any: float
    c_full: float
    gap: str | None = None
    gap_choices: tuple[str, ...] = ()
    merge_zero_plus: bool = False
    ish_after: tuple[str, ...] = ()
    clusters: Clusters | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        for holds, rule in (*_rules_of_table(self), *_rules_of_numbers(self)):
            if not holds:
                raise ProtocolError(f"{self.name}: {rule}")

    @property
    def thresholds(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in THRESHOLDS}

    @property
    def intensity_cuts(self) -> tuple[float, float, float, float]:
        """Bounds for np.digitize: its result is the index in INTENSITIES."""
        return (self.t_faint, self.t_weak, self.t_moderate, self.t_intense)

    @property
    def table(self) -> tuple[Row, ...]:
        """The rows that stand under the gap policy, in their order, with their final score."""
        standing = (row for row in self.rows if not row.gap or self.gap in row.gap)
        return tuple(
            replace(row, score=str(self.gap)) if row.score == _GAP else row for row in standing
        )

    @property
    def cluster_levels(self) -> tuple[tuple[int, ...], ...]:
        """Columns of CLASSES of each "clustered" row: whose cells must hang together."""
        return tuple(self.columns(row) for row in self.table if row.when == "clustered")

    def columns(self, row: Row) -> tuple[int, ...]:
        """Columns of CLASSES that the row adds up."""
        return tuple(sorted(INDEX[name] for group in row.of for name in self.groups[group]))


def names() -> tuple[str, ...]:
    """Name the shipped protocols."""
    return tuple(sorted(path.name[:-5] for path in _folder() if path.name.endswith(".toml")))


def load(
    name: str,
    *,
    calibration: Path | Calibration | None = None,
    gap: str | None = None,
    merge_zero_plus: bool | None = None,
) -> Protocol:
    """Read a shipped protocol. Raises ProtocolError for an unknown name, policy or calibration.

    gap, merge_zero_plus: a laboratory's choice instead of the file's.
    """
    known = {path.name: path for path in _folder()}
    if f"{name}.toml" not in known:
        raise ProtocolError(f"no protocol {name!r}; there are {', '.join(names())}")
    protocol = parse(known[f"{name}.toml"].read_bytes())
    if gap is not None:
        protocol = replace(protocol, gap=gap)
    if merge_zero_plus is not None:
        protocol = replace(protocol, merge_zero_plus=merge_zero_plus)
    if isinstance(calibration, Path):
        calibration = read_calibration(calibration, protocol=name)
    return protocol if calibration is None else calibrated(protocol, calibration)


def calibrated(protocol: Protocol, calibration: Calibration) -> Protocol:
    """Put measured thresholds (and floor) in the place of the protocol's start values."""
    unknown = set(calibration.thresholds) - set(THRESHOLDS)
    if unknown:
        raise CalibrationInvalid(f"A calibration has no thresholds {', '.join(sorted(unknown))}.")
    changed: dict[str, Any] = dict(calibration.thresholds)
    if calibration.floor_permille is not None:
        changed["floor_permille"] = calibration.floor_permille
    if calibration.floor_cells is not None:
        changed["floor_cells"] = calibration.floor_cells
    return replace(protocol, calibration=calibration, **changed)


def read_calibration(path: Path, *, protocol: str) -> Calibration:
    """Read the JSON that `membrana calibrate` writes. Raises CalibrationInvalid for another's.

    {"schema": CALIBRATION_SCHEMA, "protocol", "on", "thresholds": {…}, "floor"?: {"permille",
    "cells"}, "stain"?: {"haematoxylin": [3], "dab": [3]}, "detector_weights"?: {"name", "sha256",
    …}}; other keys (controls, notes) are kept by the sha256 only.
    """
    content = path.read_bytes()
    try:
        document = json.loads(content)
    except ValueError as wrong:  # of bytes that are no text, too
        raise CalibrationInvalid(f"{path} is not a calibration: it is no JSON.") from wrong
    try:
        meant = (document["schema"], document["protocol"])
        floor = document.get("floor", {})
        vectors = document.get("stain", {}).items()
        calibration = Calibration(
            on=str(document["on"]),
            sha256=sha256(content).hexdigest(),
            thresholds={name: float(value) for name, value in document["thresholds"].items()},
            floor_permille=floor.get("permille"),
            floor_cells=floor.get("cells"),
            stain={name: (float(r), float(g), float(b)) for name, (r, g, b) in vectors},
            detector=detector_in(document),
        )
    except KeyError as absent:
        raise CalibrationInvalid(
            f"{path} is not a calibration: it has no {absent.args[0]}."
        ) from absent
    except (ValueError, TypeError, AttributeError) as wrong:
        raise CalibrationInvalid(
            f"{path} is not a calibration: its values are not as `membrana calibrate` writes them."
        ) from wrong
    if meant != (CALIBRATION_SCHEMA, protocol):
        raise CalibrationInvalid(
            f"{path} is a calibration of {meant[1]} ({meant[0]}), not of {protocol} "
            f"({CALIBRATION_SCHEMA})."
        )
    return calibration


def detector_in(calibration: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a calibration's JSON says of its detector; KeyError if that is no detector."""
    weights = calibration.get("detector_weights")
    return weights and {**weights, "name": str(weights["name"]), "sha256": str(weights["sha256"])}


def parse(content: bytes) -> Protocol:
    """Make a protocol of the bytes of its TOML file. Raises ProtocolError."""
    try:
        document = tomllib.loads(content.decode())
        cut = document.get("cut", {"comparator": ">", "percent": 10})
        gap = document.get("gap", {})
        thresholds: dict[str, Any] = {
            name: float(document["thresholds"][name]) for name in THRESHOLDS
        }
        return Protocol(
            sha256=sha256(content).hexdigest(),
            rows=tuple(_row(row) for row in document["table"]),
            groups={name: tuple(classes) for name, classes in document["groups"].items()},
            bars=tuple(document["bars"]),
            limits={code: tuple(scores) for code, scores in document.get("limits", {}).items()},
            words=dict(document["words"]),
            comparator=cut["comparator"],
            cut_percent=cut["percent"],
            floor_permille=document["floor"]["permille"],
            floor_cells=document["floor"]["cells"],
            min_cells=document["cells"]["minimum"],
            good_cells=document["cells"]["good"],
            gap=gap.get("policy"),
            gap_choices=tuple(gap.get("choices", ())),
            merge_zero_plus=document["printed"]["merge_zero_plus"],
            ish_after=tuple(document["printed"]["ish_after"]),
            clusters=Clusters(**document["clusters"]) if "clusters" in document else None,
            **{name: document[name] for name in ("name", "version", "title", "tissue", "source")},
            **thresholds,
        )
    except ProtocolError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise ProtocolError(f"not a protocol: {wrong!r}") from wrong


def _folder() -> list[Any]:
    # beside this module, in the wheel as in the tree
    return list(files("models.her2").joinpath("protocols").iterdir())


def _row(entry: Mapping[str, Any]) -> Row:
    return Row(
        when=entry["when"],
        of=tuple(entry.get("of", ())),
        score=entry["score"],
        reason=entry["reason"],
        gap=tuple(entry.get("gap", ())),
    )


def _rules_of_table(protocol: Protocol) -> Iterator[tuple[bool, str]]:
    """What keeps a slide from being left without an answer, and a class from counting twice."""
    rows, groups, choices = protocol.rows, protocol.groups, protocol.gap_choices
    grouped = sorted(name for classes in groups.values() for name in classes)
    yield grouped == sorted(STAINED), "every stained class stands in exactly one group"
    yield all(row.when in TESTS for row in rows), f"a row's `when` is one of {TESTS}"
    yield all(group in groups for row in rows for group in row.of), "`of` names groups"
    yield all(row.of or row.when == "otherwise" for row in rows), "a test needs `of`"
    yield all(row.score in (*SCORES, _GAP) for row in rows), f"a score is one of {SCORES} or gap"
    ends = [number for number, row in enumerate(rows, 1) if row.when == "otherwise"]
    yield ends == [len(rows)], "the last row, and only that, is `otherwise`"
    yield all(row.gap for row in rows if row.score == _GAP), "a gap row names its policies"
    policies = {policy for row in rows for policy in row.gap}
    yield policies == set(choices), "the rows cover the gap policies on offer"
    yield set(choices) <= set(SCORES), "a gap policy is a score"
    offer = ", ".join(choices) or "none"
    yield protocol.gap in (choices or (None,)), f"the gap policy is one of {offer}"
    yield {row.reason for row in rows} <= set(protocol.words), "every reason has its words"
    yield set(protocol.bars) <= {*FATAL, FATAL_BY_COUNT}, "`bars` are fatal flags"
    yield set(protocol.limits) <= set(LIMITING), "`limits` are limiting flags"
    clustered = any(row.when == "clustered" for row in rows)
    yield clustered == (protocol.clusters is not None), "`clusters` goes with rows that ask for it"


def _rules_of_numbers(protocol: Protocol) -> Iterator[tuple[bool, str]]:
    whole = (
        protocol.cut_percent,
        protocol.floor_permille,
        protocol.floor_cells,
        protocol.min_cells,
        protocol.good_cells,
    )
    yield all(isinstance(number, int) for number in whole), "cut, floor and cells are whole numbers"
    yield protocol.comparator in {">", ">="}, "the comparator is > or >="
    yield 0 < protocol.cut_percent < 100, "the cut is a percentage"
    yield protocol.floor_permille >= 0 and protocol.floor_cells >= 1, "the floor is a cell or more"
    yield 1 <= protocol.min_cells <= protocol.good_cells, "1 <= minimum <= good cells"
    cuts = (0.0, *protocol.intensity_cuts)
    rising = all(low < high for low, high in pairwise(cuts))
    yield rising, "0 < t_faint < t_weak < t_moderate < t_intense"
    yield 0 < protocol.c_any < protocol.c_full <= 1, "0 < c_any < c_full <= 1"
