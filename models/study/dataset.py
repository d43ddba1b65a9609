"""A folder of images and one of masks, as patches with a held-out split by group.

An image is cut into a grid of 256×256 patches that covers it all; where two patches overlap, each
pixel is judged in one of them only.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from models.metrics import IGNORE
from models.prediction import PATCH_PX

Pixels = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.bool_]
SUFFIXES = {".png", ".tif", ".tiff", ".jpg", ".jpeg"}
MEMBRANE = 255
TEST_SHARE, VALIDATION_SHARE = 0.3, 0.1


class DatasetError(ValueError):
    """The folders can't be used; `code` is stable, the text says which file and what to do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True)
class Dataset:
    """Patches of a folder, in the order of the file names and of the grid.

    images: uint8 (N, 256, 256, 3); masks: uint8 (N, 256, 256) of 0, 127 (ignore) and 255;
    first: bool (N, 256, 256), False where an earlier patch has shown the pixel; groups: the
    patient, slide or block of each patch.
    """

    name: str
    images: Pixels
    masks: Pixels
    first: Truth
    groups: tuple[str, ...]

    def sha256(self) -> str:
        """Hash the pixels, masks and groups: what a result was measured on."""
        digest = hashlib.sha256("\n".join(self.groups).encode())
        for array in (self.images, self.masks):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def truth(self, patches: npt.NDArray[np.intp]) -> Pixels:
        """Masks (n, 256, 256) in which each pixel of an image counts once."""
        counted: Pixels = np.where(self.first[patches], self.masks[patches], IGNORE)
        return counted.astype(np.uint8)


@dataclass(frozen=True)
class Split:
    """Patch numbers, ascending; no group is in two parts."""

    train: npt.NDArray[np.intp]
    validation: npt.NDArray[np.intp]
    test: npt.NDArray[np.intp]


def read(
    images: Path,
    masks: Path,
    *,
    positive: str,
    groups: Path | None = None,
    region: Path | None = None,
    name: str = "",
) -> Dataset:
    """Read and cut a set. Raises DatasetError.

    `positive`: the mask's value of what is searched, or `any` for every value but 0 (instance
    labels). `groups`: CSV of file name and group; without it each image is its own group.
    `region`: masks of where the truth is known (0 = nowhere), such as a field of view.
    """
    names = pictures(images)
    belongs = read_groups(groups, names) if groups else {each: each for each in names}
    truths, regions = pictures(masks), pictures(region) if region else {}
    if wanted := sorted(names.keys() - truths.keys()):
        raise DatasetError("mask_missing", f"{masks} has no mask for {some(wanted)}.")
    parts: list[tuple[Pixels, Pixels, Truth]] = []
    owners: list[str] = []
    for stem in sorted(names):
        pixels = as_pixels(opened(names[stem]), names[stem])
        mask = as_mask(np.asarray(opened(truths[stem])), positive, truths[stem])
        if mask.shape != pixels.shape[:2]:
            raise DatasetError(
                "mask_mismatch",
                f"{truths[stem].name} is {size(mask)} px and its image {size(pixels)} px.",
            )
        if region:
            if stem not in regions:
                raise DatasetError("region_missing", f"{region} has no file for {stem}.")
            mask[np.asarray(opened(regions[stem]).convert("L")) == 0] = IGNORE
        for part in cut(pixels, mask):
            parts.append(part)
            owners.append(belongs[stem])
    if not any((mask == MEMBRANE).any() for _, mask, _ in parts):
        raise DatasetError(
            "nothing_positive", f"No mask holds the value {positive}; see --positive."
        )
    cut_images, cut_masks, first = zip(*parts, strict=True)
    return Dataset(
        name or images.resolve().parent.name,
        np.stack(cut_images),
        np.stack(cut_masks),
        np.stack(first),
        tuple(owners),
    )


def pictures(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by stem. Raises DatasetError."""
    if not folder.is_dir():
        raise DatasetError("folder_missing", f"There is no folder {folder}.")
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    if not found:
        raise DatasetError("folder_empty", f"{folder} holds no PNG, TIFF or JPEG image.")
    stems = {path.stem: path for path in found}
    if len(stems) < len(found):
        raise DatasetError("name_twice", f"{folder} holds two files of one name.")
    return stems


def opened(path: Path) -> Image.Image:
    try:
        picture = Image.open(path)
        picture.load()
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DatasetError("image_unreadable", f"{path} can't be read: {error}.") from error
    return picture


def as_pixels(picture: Image.Image, path: Path) -> Pixels:
    """Return RGB pixels (H, W, 3); of 16 bits nobody knows which eight are meant."""
    if picture.mode.startswith(("I", "F")):
        raise DatasetError("image_depth", f"{path} has more than 8 bits a channel: convert it.")
    return np.asarray(picture.convert("RGB"), np.uint8)


def as_mask(values: npt.NDArray[np.generic], positive: str, path: Path) -> Pixels:
    """Return a mask of 0 and 255 from label values (H, W)."""
    if values.ndim != 2:
        raise DatasetError("mask_not_grey", f"{path} is a colour image; a mask has one channel.")
    if positive == "any":
        chosen = values != 0
    elif positive.isdecimal():
        chosen = values == int(positive)
    else:
        raise DatasetError("positive_unknown", f"--positive is a whole number or any: {positive}.")
    mask: Pixels = chosen.astype(np.uint8) * np.uint8(MEMBRANE)
    return mask


def read_groups(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Read `file name,group` lines; the extension may be left out, a header too."""
    try:
        lines = [row for row in csv.reader(path.open(newline="")) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError("groups_unreadable", f"{path} can't be read: {error}.") from error
    if any(len(row) < 2 for row in lines):
        raise DatasetError("groups_unreadable", f"{path}: a line has no second column.")
    belongs = {Path(row[0].strip()).stem: row[1].strip() for row in lines}
    if wanted := sorted(set(names) - belongs.keys()):
        raise DatasetError("group_missing", f"{path} names no group for {some(wanted)}.")
    return belongs


def cut(pixels: Pixels, mask: Pixels) -> Iterator[tuple[Pixels, Pixels, Truth]]:
    """Yield the patches that cover an image: pixels, mask, and where a pixel is first seen.

    A side below 256 px is filled by reflection, which counts nowhere.
    """
    height, width = mask.shape
    below, right = max(0, PATCH_PX - height), max(0, PATCH_PX - width)
    if below or right:
        pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="symmetric")
        mask = np.pad(mask, ((0, below), (0, right)), constant_values=IGNORE)
    seen = np.zeros(mask.shape, np.bool_)
    for top in starts(mask.shape[0]):
        for left in starts(mask.shape[1]):
            box = np.s_[top : top + PATCH_PX, left : left + PATCH_PX]
            first = ~seen[box]
            seen[box] = True
            yield pixels[box], mask[box], first


def starts(length: int) -> list[int]:
    """Where patches begin along a side: as few as cover it, spread evenly."""
    count = -(-length // PATCH_PX)
    return [round(step) for step in np.linspace(0, length - PATCH_PX, count)]


def split(dataset: Dataset, *, seed: int = 0) -> Split:
    """Hold out whole groups for the test, and whole groups of the rest for validation.

    Raises DatasetError for fewer than three groups.
    """
    names = sorted(set(dataset.groups))
    if len(names) < 3:
        raise DatasetError(
            "too_few_groups",
            f"{len(names)} groups can't be split into training, validation and test; "
            "name at least three patients, slides or blocks.",
        )
    drawn = np.random.default_rng(seed).permutation(names).tolist()
    tests = max(1, round(TEST_SHARE * len(names)))
    validations = max(1, round(VALIDATION_SHARE * len(names)))

    def members(chosen: Sequence[str]) -> npt.NDArray[np.intp]:
        return np.flatnonzero(np.isin(dataset.groups, chosen))

    return Split(
        test=members(drawn[:tests]),
        validation=members(drawn[tests : tests + validations]),
        train=members(drawn[tests + validations :]),
    )


def labelled(part: Split, share: float, *, seed: int) -> npt.NDArray[np.intp]:
    """Draw the training patches that have labels: at least one; a larger share holds a smaller."""
    drawn = np.random.default_rng(seed).permutation(part.train)
    return np.sort(drawn[: max(1, round(share * len(drawn)))])


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def size(array: npt.NDArray[np.generic]) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"
