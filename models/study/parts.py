"""Parts that a file names: labels of some slides, judged on another that has images alone.

That is the service's own setting: people have annotated some slides, and the next one is in hand,
all of it to be seen and none of it labelled.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from models.study import files
from models.study.files import DatasetError, some

TRAIN, UNLABELLED, VALIDATION, TEST = "train", "unlabelled", "validation", "test"
PARTS = (TRAIN, UNLABELLED, VALIDATION, TEST)


def read_parts(path: Path, names: Collection[str]) -> dict[str, str]:
    """Read `file name,part` lines. Raises DatasetError for a name without a part, and other words.

    `unlabelled` images are learned from as they are: they need no mask, and may be of any group,
    those that are judged included. Every page of a file is in its file's part.
    """
    by_patch = files.read_groups(path, names)
    for name, part in by_patch.items():
        if name not in names:
            # a spreadsheet's first line
            continue
        if part not in PARTS:
            raise DatasetError(
                "part_unknown", f"{path}: {name} is in {part}; a part is one of {', '.join(PARTS)}."
            )
    if paged := sorted(set(names) - by_patch.keys()):
        raise DatasetError("part_unknown", f"{path} names no part for the whole of {some(paged)}.")
    return {name: by_patch[name] for name in names}


def check_apart(parts: Sequence[str], groups: Sequence[str]) -> None:
    """Raise DatasetError unless each labelled part has patches and no group is in two of them."""
    owners = {
        part: {group for each, group in zip(parts, groups, strict=True) if each == part}
        for part in (TRAIN, VALIDATION, TEST)
    }
    if empty := [part for part, names in owners.items() if not names]:
        raise DatasetError(
            "part_empty",
            f"No image is in the part {empty[0]}: one each is needed to learn from, to choose by "
            "and to judge.",
        )
    for first, second in ((TRAIN, VALIDATION), (TRAIN, TEST), (VALIDATION, TEST)):
        if both := sorted(owners[first] & owners[second]):
            raise DatasetError(
                "group_twice",
                f"{some(both)} is in {first} and in {second}: a patient, slide or block is in one "
                "of them alone.",
            )
