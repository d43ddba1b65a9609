"""A folder of images and one of masks, as patches with a held-out split by group.

An image is cut into a grid of 256×256 patches that covers it all; where two patches overlap, each
pixel is judged in one of them only.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.metrics import IGNORE
from models.prediction import PATCH_PX
from models.study import files, parts
from models.study.files import MEMBRANE, DatasetError, Pixels, PixelsOf, pictures, size, some

__all__ = ["MEMBRANE", "Dataset", "DatasetError"]

Truth = npt.NDArray[np.bool_]
TEST_SHARE, VALIDATION_SHARE = 0.3, 0.1


@dataclass(frozen=True)
class Dataset:
    """Patches of a folder, in the order of the file names and of the grid.

    images: uint8 (N, 256, 256, 3); masks: uint8 (N, 256, 256) of 0, 127 (ignore) and 255;
    first: bool (N, 256, 256), False where an earlier patch has shown the pixel; groups: the
    patient, slide or block of each patch; mpp: µm per px, if known; parts: the part of each patch
    where a file names them (`models.study.parts`), else empty: they are drawn.
    """

    name: str
    images: Pixels
    masks: Pixels
    first: Truth
    groups: tuple[str, ...]
    mpp: float | None = None
    parts: tuple[str, ...] = ()

    def sha256(self) -> str:
        """Hash the pixels, masks and groups: what a result was measured on."""
        digest = hashlib.sha256("\n".join(self.groups + self.parts).encode())
        for array in (self.images, self.masks):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def truth(self, patches: npt.NDArray[np.intp]) -> Pixels:
        """Masks (n, 256, 256) in which each pixel of an image counts once."""
        counted: Pixels = np.where(self.first[patches], self.masks[patches], IGNORE)
        return counted.astype(np.uint8)


@dataclass(frozen=True)
class Split:
    """Patch numbers, ascending; no group is in two of train, validation and test.

    unlabelled: patches whose images alone are learned from, beside those of `train` that have no
    label; of any group.
    """

    train: npt.NDArray[np.intp]
    validation: npt.NDArray[np.intp]
    test: npt.NDArray[np.intp]
    unlabelled: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))


def read(
    images: Path,
    masks: Path,
    *,
    positive: str,
    groups: Path | None = None,
    region: Path | None = None,
    name: str = "",
    mpp: float | None = None,
    part_table: Path | None = None,
    pixels_of: PixelsOf = files.pixels_of,
) -> Dataset:
    """Read and cut a set. Raises DatasetError.

    `positive`: the mask's value of what is searched, or `any` for every value but 0 (instance
    labels). `groups`: CSV of file name and group; without it each file is its own group, with all
    pages of a TIFF.
    `region`: masks of where the truth is known (0 = nowhere), such as a field of view.
    `part_table`: CSV of file name and part (`models.study.parts`); without it parts are drawn.
    `pixels_of`: reads an image file, RGB (H, W, 3) of each page; the commands' reads depths and
    colour profiles as the service does.
    """
    names = pictures(images)
    belongs_to = parts.read_parts(part_table, names) if part_table else {}
    unlabelled = {name for name, part in belongs_to.items() if part == parts.UNLABELLED}
    belongs = files.read_groups(groups, names) if groups else {each: each for each in names}
    truths, regions = pictures(masks), pictures(region) if region else {}
    if wanted := sorted(names.keys() - truths.keys() - unlabelled):
        raise DatasetError("mask_missing", f"{masks} has no mask for {some(wanted)}.")
    if region and (wanted := sorted(names.keys() - regions.keys() - unlabelled)):
        raise DatasetError("region_missing", f"{region} has no file for {some(wanted)}.")
    patches: list[tuple[Pixels, Pixels, Truth]] = []
    owners: list[str] = []
    placed: list[str] = []
    for stem in sorted(names):
        if stem in unlabelled:
            pages = unknown_pages(pixels_of(names[stem]))
        else:
            pages = pages_of(names[stem], truths[stem], positive, pixels_of)
        if region and stem not in unlabelled:
            known = known_in(regions[stem], len(pages), pages[0][1].shape)
            for (_, mask), where in zip(pages, known, strict=True):
                mask[~where] = IGNORE
        for number, (pixels, mask) in enumerate(pages, 1):
            for patch in cut(pixels, mask):
                patches.append(patch)
                owners.append(files.group_of(belongs, stem, number))
                placed += [belongs_to[stem]] if belongs_to else []
    if not any((mask == MEMBRANE).any() for _, mask, _ in patches):
        raise DatasetError(
            "nothing_positive", f"No mask holds the value {positive}; see --positive."
        )
    cut_images, cut_masks, first = zip(*patches, strict=True)
    return Dataset(
        name or images.resolve().parent.name,
        np.stack(cut_images),
        np.stack(cut_masks),
        np.stack(first),
        tuple(owners),
        mpp,
        tuple(placed),
    )


def unknown_pages(shown: Sequence[Pixels]) -> list[tuple[Pixels, Pixels]]:
    """Return each page of an image without a mask, and that nothing is known of it."""
    return [(each, np.full(each.shape[:2], IGNORE, np.uint8)) for each in shown]


def pages_of(
    image: Path, truth: Path, positive: str, pixels_of: PixelsOf
) -> list[tuple[Pixels, Pixels]]:
    """Return the pixels and mask of each page of an image and its mask."""
    shown = pixels_of(image)
    drawn = [files.mask_of(each, positive, truth) for each in files.frames(truth)]
    if len(shown) != len(drawn):
        raise DatasetError(
            "mask_mismatch",
            f"{truth.name} has {len(drawn)} pages and its image {len(shown)}.",
        )
    if drawn[0].shape != shown[0].shape[:2]:
        raise DatasetError(
            "mask_mismatch",
            f"{truth.name} is {size(drawn[0])} px and its image {size(shown[0])} px.",
        )
    return list(zip(shown, drawn, strict=True))


def known_in(path: Path, count: int, shape: tuple[int, ...]) -> list[Truth]:
    """Return where the truth is known on each of a file's `count` pages."""
    pages = [np.asarray(each.convert("L")) != 0 for each in files.frames(path)]
    if len(pages) not in {1, count} or pages[0].shape != shape:
        raise DatasetError(
            "region_mismatch",
            f"{path.name} has {len(pages)} pages of {size(pages[0])} px and its image {count} of "
            f"{shape[1]}×{shape[0]} px.",
        )
    return pages if len(pages) == count else pages * count


def cut(pixels: Pixels, mask: Pixels) -> Iterator[tuple[Pixels, Pixels, Truth]]:
    """Yield the patches that cover an image: pixels, mask, and where a pixel is first seen.

    A side below 256 px is filled by reflection, which counts nowhere.
    """
    height, width = mask.shape
    below, right = max(0, PATCH_PX - height), max(0, PATCH_PX - width)
    if below or right:
        pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="symmetric")
        mask = np.pad(mask, ((0, below), (0, right)), constant_values=IGNORE)
    covered = np.zeros(mask.shape, np.bool_)
    for top in starts(mask.shape[0]):
        for left in starts(mask.shape[1]):
            box = np.s_[top : top + PATCH_PX, left : left + PATCH_PX]
            first = ~covered[box]
            covered[box] = True
            yield pixels[box], mask[box], first


def starts(length: int) -> list[int]:
    """Where patches begin along a side: as few as cover it, spread evenly."""
    count = -(-length // PATCH_PX)
    return [round(step) for step in np.linspace(0, length - PATCH_PX, count)]


def split(dataset: Dataset, *, seed: int = 0) -> Split:
    """Hold out whole groups for the test, and whole groups of the rest for validation.

    Where a file names the parts they are those. Raises DatasetError for fewer than three groups,
    for a group in two parts, and where nothing is known of a part.
    """
    part = named_parts(dataset) if dataset.parts else drawn_parts(dataset, seed)
    for patches in (part.test, part.validation, part.train):
        if (dataset.masks[patches] == IGNORE).all():
            raise DatasetError(
                "nothing_known",
                f"The masks of {some(sorted({dataset.groups[index] for index in patches}))} say "
                "nothing: there is nothing to train on or to judge by.",
            )
    return part


def named_parts(dataset: Dataset) -> Split:
    parts.check_apart(dataset.parts, dataset.groups)

    def members(part: str) -> npt.NDArray[np.intp]:
        return np.flatnonzero([each == part for each in dataset.parts])

    return Split(
        train=members(parts.TRAIN),
        validation=members(parts.VALIDATION),
        test=members(parts.TEST),
        unlabelled=members(parts.UNLABELLED),
    )


def drawn_parts(dataset: Dataset, seed: int) -> Split:
    names = sorted(set(dataset.groups))
    if len(names) < 3:
        raise DatasetError(
            "too_few_groups",
            f"{len(names)} groups can't be split into training, validation and test; "
            "name at least three patients, slides or blocks.",
        )
    shuffled = np.random.default_rng(seed).permutation(names).tolist()
    tests = max(1, round(TEST_SHARE * len(names)))
    validations = max(1, round(VALIDATION_SHARE * len(names)))

    def members(chosen: Sequence[str]) -> npt.NDArray[np.intp]:
        return np.flatnonzero(np.isin(dataset.groups, chosen))

    return Split(
        test=members(shuffled[:tests]),
        validation=members(shuffled[tests : tests + validations]),
        train=members(shuffled[tests + validations :]),
    )


def labelled(part: Split, share: float, *, seed: int) -> npt.NDArray[np.intp]:
    """Draw the training patches that have labels: at least one; a larger share holds a smaller."""
    drawn = np.random.default_rng(seed).permutation(part.train)
    return np.sort(drawn[: max(1, round(share * len(drawn)))])
