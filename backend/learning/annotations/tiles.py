"""Tiles of a slide's mask: the patches of its grid, and those that a person paints first."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from backend.kit.errors import Unprocessable
from backend.learning.annotations.service import PatchUnreadable
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.patches import images
from backend.slides.patches import service as patches
from backend.slides.patches.grid import grid_shape, patch_region
from backend.slides.patches.tables import Patch
from backend.slides.reading.reader import RegionUnreadable

NEAR = 0.5
"""Level-0 px: places of tiles that are not whole may be sent rounded."""
Place = tuple[int, int]
"""row, column"""


class TileInvalid(Unprocessable):
    code, title = "tile_invalid", "There is no such tile"


def place_of(slide: Slide, x: float, y: float, settings: Settings) -> Place:
    """Return which tile has its upper left corner at (x, y), level-0 px; raise TileInvalid."""
    rows, columns = grid_shape(slide, settings.analysis_mpp)
    side = patch_region(slide, 0, 0, settings.analysis_mpp).width
    row, column = round(y / side), round(x / side)
    if not (0 <= row < rows and 0 <= column < columns):
        raise TileInvalid(
            f"The tile at x {x:g}, y {y:g} lies outside the slide, which is {slide.width} × "
            f"{slide.height} px.",
            code="tile_outside",
        )
    box = patch_region(slide, row, column, settings.analysis_mpp)
    if abs(box.x - x) > NEAR or abs(box.y - y) > NEAR:
        raise TileInvalid(
            f"No tile begins at x {x:g}, y {y:g}: tiles are {side:g} px wide and begin at "
            f"multiples of that, the nearest at x {box.x:g}, y {box.y:g}.",
            code="tile_off_grid",
        )
    return row, column


def at(
    session: Session, slide: Slide, places: Collection[Place], settings: Settings
) -> dict[Place, Patch]:
    """Return the patches at some places; where there is none, one that is not made yet."""
    there = patches.by_place(session, slide.id, places)
    for place in places:
        if place not in there:
            there[place] = readable(slide, place, settings)
    return there


def readable(slide: Slide, place: Place, settings: Settings) -> Patch:
    """Return a patch that is not made yet; raise PatchUnreadable where its pixels can't be read."""
    box = patch_region(slide, *place, settings.analysis_mpp)
    patch = patches.unmade(slide.id, *place, box)
    try:
        images.image(slide, patch, settings)
    except RegionUnreadable:
        raise PatchUnreadable(
            f"The slide file is damaged at x {box.x:g}, y {box.y:g}: nobody can see what they draw."
        ) from None
    return patch


def hold(session: Session, there: dict[Place, Patch]) -> dict[Place, Patch]:
    """Return the patches as they are now, held until the transaction ends; makes what is missing.

    Held by ids, then made by places: two edits of some of the same tiles never wait for each other.
    """
    known = {patch.id: place for place, patch in there.items() if patch.id is not None}
    held = {known[each.id]: each for each in patches.hold(session, known).values()}
    for place in sorted(there.keys() - held.keys()):
        held[place] = made(session, there[place])
    return held


def made(session: Session, unmade: Patch) -> Patch:
    """Add a patch, or return the one that somebody else has made meanwhile, held."""
    # of this session only: another try begins with the same unmade one
    box = patches.box_of(unmade)
    patch = patches.unmade(unmade.slide_id, unmade.row, unmade.column, box)
    if patches.make(session, patch):
        return patch
    place = unmade.row, unmade.column
    other = patches.by_place(session, unmade.slide_id, [place])[place]
    return patches.hold(session, [other.id])[other.id]
