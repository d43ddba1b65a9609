"""Folders of images and masks as they come: what can be read one way only is read."""

import csv
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from models import decoding
from models.coded_error import CodedError
from models.study import orientation

Pixels = npt.NDArray[np.uint8]
PixelsOf = Callable[[Path], list[Pixels]]
"""Reads the pages of an image file, RGB (H, W, 3) each. May raise DatasetError."""
SUFFIXES = {".png", ".tif", ".tiff", ".jpg", ".jpeg"}
MEMBRANE, IGNORE = 255, 127
LOSSY_FORMATS = {"JPEG", "MPO", "JPEG2000", "WEBP"}
CHECKED = {"JPEG", "MPO", "PNG", "TIFF"}
PLAIN_MODES = {"L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La"}
"""Pillow's names of greys, palettes and RGB. Inks, Lab and one bit are no stain's colours."""
STRAIGHT = {"RGBa": "RGBA", "La": "LA"}
"""Transparency that colours are already multiplied by, and that which is beside them."""
SEE_THROUGH = {"LA", "PA", "RGBA", *STRAIGHT}
DEEP = "{} has more than 8 bits a channel: convert it."
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError),
    # a TIFF whose directory was cut off, or another note that is damaged
    *(TypeError, KeyError, IndexError, struct.error),
)
"""What Pillow raises over a file that is none."""
NEAR, NEARLY_ALL = 64, 0.95
"""A compressed mask of 0 and 255 has nearly all its values this near to one of them."""


class DatasetError(CodedError):
    """The folders can't be used; the text says which file and what to do."""


class OptionWrong(DatasetError):
    """What an option names is not there, or can't be: the folders are not at fault."""


def pictures(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by stem. Raises DatasetError."""
    if not folder.is_dir():
        raise DatasetError("folder_missing", f"There is no folder {folder}.")
    # a Mac leaves a hidden `._name.png` beside each file
    images = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    if not images:
        raise DatasetError("folder_empty", f"{folder} holds no PNG, TIFF or JPEG image.")
    stems = {path.stem: path for path in images}
    if len(stems) < len(images):
        raise DatasetError("name_twice", f"{folder} holds two files of one name.")
    return stems


def frames(path: Path) -> list[Image.Image]:
    """Read every page of a TIFF, or the one picture of another file, upright.

    As the service and viewers show it: turned as the file says it was held. Raises DatasetError.
    """
    try:
        # not by its name: Pillow would map the pixels, and then turn them wrongly
        with path.open("rb") as file:
            picture = Image.open(file)
            count = getattr(picture, "n_frames", 1)
            check_depth(picture, path)
            read: list[Image.Image] = [picture]
            if isinstance(picture, TiffImageFile):
                read = list(pages(picture, path))
            picture.load()
            check_whole(picture, path)
            if not isinstance(picture, TiffImageFile):
                orientation.put_upright(picture, path)
    except DatasetError:
        raise
    except UnidentifiedImageError as error:
        raise DatasetError("image_unreadable", f"{path} is no image that is known here.") from error
    except UNREADABLE as error:
        raise DatasetError("image_unreadable", f"{path} can't be read: {error}.") from error
    if count > len(read):
        raise DatasetError("image_frames", f"{path} holds {count} pictures: keep one.")
    if len({each.size for each in read}) > 1:
        raise DatasetError(
            "image_frames",
            f"{path} holds {count} pages of different sizes, such as a pyramid: export one level.",
        )
    return read


def pages(picture: TiffImageFile, path: Path) -> Iterator[Image.Image]:
    for number in range(picture.n_frames):
        picture.seek(number)
        try:
            page = orientation.upright_page(picture)
        except orientation.TurnUnclear:
            raise DatasetError(
                "image_turned", f"{path} is stored turned: save it upright."
            ) from None
        # Pillow leaves a page without a profile that of the page read before
        page.info["icc_profile"] = picture.tag_v2.get(TiffImagePlugin.ICCPROFILE)
        yield page


def check_whole(picture: ImageFile, path: Path) -> None:
    """Refuse damage that Pillow reads over: it hears no warning of libjpeg, and no CRC of a PNG."""
    if picture.format not in CHECKED:
        return
    numbers = range(getattr(picture, "n_frames", 1)) if picture.format == "TIFF" else ()
    try:
        for options in [{"page": number} for number in numbers] or [{}]:
            decoding.check_whole(path, **options)
    except decoding.PictureDamaged as damage:
        raise DatasetError(
            "image_damaged", f"{path} is damaged, a decoder says: {damage}. Copy it again."
        ) from damage


def check_depth(picture: ImageFile, path: Path) -> None:
    """Refuse colours of 16 bits, of which Pillow would keep the upper eight without a word.

    Greys of 16 bits stay whole: they may be instance labels.
    """
    stored = " ".join(str(tile.args) for tile in picture.tile)
    if ";16" in stored and not picture.mode.startswith("I"):
        raise DatasetError("image_depth", DEEP.format(path))


def opened(path: Path) -> Image.Image:
    """Read a file of one picture. Raises DatasetError, also for one of several pages."""
    images = frames(path)
    if len(images) > 1:
        raise DatasetError("image_frames", f"{path} holds {len(images)} pages: split them.")
    return images[0]


def pixels_of(path: Path) -> list[Pixels]:
    """Return RGB pixels (H, W, 3) of each page, eight bits and in the file's own colours."""
    return [as_pixels(each, path) for each in frames(path)]


def as_pixels(picture: Image.Image, path: Path) -> Pixels:
    """Return RGB pixels (H, W, 3); of 16 bits nobody knows which eight are meant."""
    if picture.mode.startswith(("I", "F")):
        raise DatasetError("image_depth", DEEP.format(path))
    if picture.mode not in PLAIN_MODES:
        raise DatasetError(
            "image_colours",
            f"{path} has the colours {picture.mode}, not a microscope's: save it as RGB.",
        )
    if picture.mode in SEE_THROUGH or "transparency" in picture.info:
        return over_glass(picture)
    return np.asarray(picture.convert("RGB"), np.uint8)


def over_glass(picture: Image.Image) -> Pixels:
    """Lay a picture over white, as the service does; transparency that hides all of it is none."""
    straight = picture.convert(STRAIGHT.get(picture.mode, picture.mode)).convert("RGBA")
    if not np.asarray(straight)[..., 3].any():
        return np.asarray(straight, np.uint8)[..., :3]
    white = Image.new("RGBA", straight.size, "white")
    return np.asarray(Image.alpha_composite(white, straight).convert("RGB"), np.uint8)


def mask_of(picture: Image.Image, positive: str, path: Path, *, binary: bool = False) -> Pixels:
    """Return a mask of 0, 127 and 255 (H, W). Raises DatasetError where values can't be relied on.

    A palette's numbers are the values, as in sets of labelled classes; white of one bit is 1 as
    well as 255. A lossy file is read only where 0 and 255 can be told apart in it. binary: with
    `positive` 255 any other value than 0 and 127 is refused.
    """
    if picture.mode == "1":
        return as_mask(
            np.asarray(picture.convert("L")), "255" if positive == "1" else positive, path
        )
    if picture.mode == "P":
        check_palette(picture, path)
    values = np.asarray(picture)
    compression = str(picture.info.get("compression", ""))
    if picture.format not in LOSSY_FORMATS and compression not in {"jpeg", "tiff_jpeg", "webp"}:
        if binary and positive == str(MEMBRANE):
            check_binary(values, path)
        return as_mask(values, positive, path)
    near = np.minimum(values, 255 - values) <= NEAR if values.dtype == np.uint8 else values < 0
    if positive != "255" or near.mean() < NEARLY_ALL:
        raise DatasetError(
            "mask_lossy",
            f"{path} is compressed with loss, so its values are not what was drawn: save masks as "
            "PNG or TIFF. Only one of 0 and 255 with --positive 255 can be read.",
        )
    return as_mask(np.where(values > MEMBRANE // 2, MEMBRANE, 0), positive, path)


def check_palette(picture: Image.Image, path: Path) -> None:
    """Refuse a palette of greys that are not their numbers: which of both is the value?"""
    used = np.unique(np.asarray(picture))
    colours = np.asarray(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    shown = colours[used[used < len(colours)]]
    grey = (shown == shown[:, :1]).all()
    if grey and not np.array_equal(shown[:, 0], used):
        raise DatasetError(
            "mask_palette",
            f"{path} has a palette that shows the value {used[-1]} as grey {shown[-1, 0]}: save it "
            "as a grey picture.",
        )


def as_mask(values: npt.NDArray[np.generic], positive: str, path: Path) -> Pixels:
    """Return a mask of 0 and 255 from label values (H, W), or of three equal channels of them.

    With `positive` 255, as in Membrana's own masks, 127 is what nobody knows, and stays.
    """
    check_positive(positive)
    if values.ndim == 3 and values.shape[2] == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim != 2:
        raise DatasetError("mask_not_grey", f"{path} is a colour image; a mask has one channel.")
    chosen = values != 0 if positive == "any" else values == int(positive)
    mask: Pixels = chosen.astype(np.uint8) * np.uint8(MEMBRANE)
    if positive == str(MEMBRANE):
        mask[values == IGNORE] = IGNORE
    return mask


def check_positive(positive: str) -> None:
    """Refuse what is no value of a mask. Raises DatasetError."""
    if positive != "any" and not (positive.isascii() and positive.isdecimal()):
        raise OptionWrong("positive_unknown", f"--positive is a whole number or any: {positive}.")


def check_binary(values: npt.NDArray[np.generic], path: Path) -> None:
    """Refuse a mask that holds other values than 0, 127 and 255: which is membrane?"""
    others = np.setdiff1d(values, (0, IGNORE, MEMBRANE))
    if len(others):
        listed = some([str(value) for value in others.tolist()])
        raise DatasetError(
            "mask_values",
            f"{path} holds the value {listed}, and a mask of 255 has 0, 127 (unknown) and 255 "
            "alone: say with --positive which value is membrane, or `any` for all but 0.",
        )


def read_groups(path: Path, names: Collection[str]) -> dict[str, str]:
    """Read `file name,group` lines; the extension may be left out, a header too.

    `name#3` is the third page of a file. Raises DatasetError if a name has no group, or two.
    """
    try:
        # Excel begins its files with a mark
        rows = list(csv.reader(path.open(newline="", encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError("groups_unreadable", f"{path} can't be read: {error}.") from error
    # a spreadsheet's empty lines are rows of commas
    lines = [row for row in rows if any(cell.strip() for cell in row)]
    for row in lines:
        if len(row) < 2 or not row[1].strip():
            raise DatasetError(
                "groups_unreadable",
                f"{path}: the line {','.join(row)} has no second column; file name and group "
                "stand in one line with a comma between.",
            )
    belongs: dict[str, str] = {}
    for row in lines:
        name, group = key_of(row[0].strip(), names), row[1].strip()
        if belongs.setdefault(name, group) != group:
            raise DatasetError("group_twice", f"{path} names two groups for {name}.")
    paged = {name.rpartition("#")[0] for name in belongs}
    if wanted := sorted(set(names) - belongs.keys() - paged):
        raise DatasetError("group_missing", f"{path} names no group for {some(wanted)}.")
    return belongs


def key_of(name: str, names: Collection[str]) -> str:
    """Return the stem of a file's name in a table, with the number of its page if there is one."""
    if name in names:
        return name
    head, _, page = name.rpartition("#")
    return f"{key_of(head, names)}#{page}" if head and page.isdecimal() else Path(name).stem


def group_of(belongs: Mapping[str, str], stem: str, page: int) -> str:
    """Return the group of a file's page, counted from 1. Raises DatasetError if it has none."""
    group = belongs.get(f"{stem}#{page}", belongs.get(stem))
    if group is None:
        raise DatasetError("group_missing", f"No group is named for page {page} of {stem}.")
    return group


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def size(array: npt.NDArray[np.generic]) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"
