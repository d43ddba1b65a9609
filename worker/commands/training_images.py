"""Images to train on, with the pixels that the service would show of them.

Models know no service, so its rules for depths and colour profiles come to them from here.
"""

from pathlib import Path

from backend.cli import complain
from backend.kit.errors import MembranaError
from backend.slides.reading import colour
from models.pictures import plain
from models.study.files import DatasetError, Pixels, as_pixels, frames
from worker import tiff_pictures
from worker.commands.image_files import MOST_PIXELS
from worker.commands.options import Refused
from worker.layout import CODES, Layout
from worker.plain_pictures import (
    has_odd_profile,
    in_srgb,
    is_deep,
    is_odd,
    is_png,
    look_into,
    rgb_of,
)


def pixels_of(path: Path) -> list[Pixels]:
    """Return RGB pixels (H, W, 3) of each page: eight bits, in sRGB; an odd profile is named.

    Raises DatasetError and Refused, with the file's name.
    """
    if path.is_file() and is_deep(path):
        pages, odd = deep_pages(path)
    else:
        shown = frames(path)
        profiles = [each.info.get("icc_profile") for each in shown]
        pages = [
            in_srgb(as_pixels(each, path), profile)
            for each, profile in zip(shown, profiles, strict=True)
        ]
        odd = any(map(is_odd, profiles))
    if odd:
        complain(f"{path.name}: {CODES[colour.UNUSABLE]}. ({colour.UNUSABLE})")
    return pages


def deep_pages(path: Path) -> tuple[list[Pixels], bool]:
    """Read pages of 10 to 16 bits as the service scales them; and whether a profile is odd."""
    inside = plain.inside_of(path) if is_png(path) else tiff_pictures.inside_of(path)
    if len({(each.width, each.height) for each in inside}) > 1:
        raise DatasetError(
            "image_frames",
            f"{path} holds {len(inside)} pictures of different sizes, such as a pyramid: export "
            "one level.",
        )
    try:
        layouts = [
            look_into(
                path,
                most_pixels=MOST_PIXELS,
                layout=Layout(each, 0, "", in_directories=not is_png(path)),
            )
            for each in inside
        ]
        pages = [rgb_of(path, each, most_pixels=MOST_PIXELS) for each in layouts]
    except MembranaError as error:
        raise Refused(f"{path}: {error.detail}", code=error.problem_code) from error
    return pages, any(has_odd_profile(path, each) for each in layouts)
