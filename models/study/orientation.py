"""Images of a set upright, by what the service goes by: whatever Pillow makes of their notes."""

from pathlib import Path

from PIL import ExifTags, Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from models.pictures import exif, plain
from models.pictures.inside import TURNED_OR_NOT, UPRIGHT, orientation_in

NOTE = ExifTags.Base.Orientation
XMP = 700


class TurnUnclear(ValueError):
    """Pillow turns the picture otherwise than its file says."""


def put_upright(picture: Image.Image, path: Path) -> None:
    """Turn the picture of a file that is no TIFF: Pillow hears fewer notes than viewers do."""
    inside = plain.inside_of(path)
    turn(picture, inside[0].orientation if inside else picture.getexif().get(NOTE))


def upright_page(picture: TiffImageFile) -> Image.Image:
    """Return the page of a TIFF that stands open, upright. Raises TurnUnclear."""
    stated = orientation_in(
        picture.tag_v2.get(NOTE), exif.orientation_in_xmp(picture.tag_v2.get(XMP))
    )
    # Pillow turns pages as it reads them, by what it finds itself
    applied = orientation_in(picture.getexif().get(NOTE))
    page = picture.copy()
    if NOTE in picture.tag_v2 and picture.tag_v2[NOTE] in TURNED_OR_NOT:
        raise TurnUnclear
    if applied == stated:
        return page
    if applied != UPRIGHT:
        raise TurnUnclear
    turn(page, stated)
    return page


def turn(picture: Image.Image, orientation: int | None) -> None:
    """Turn a picture in its place as one of EXIF's orientations says."""
    picture.getexif()[NOTE] = orientation_in(orientation)
    ImageOps.exif_transpose(picture, in_place=True)
