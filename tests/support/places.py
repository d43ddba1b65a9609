"""Where things lie on the screen, found as a person finds them: by what the page shows."""

import math

from playwright.sync_api import Page

PATCH_PX = 256
ROOM = 1.24
"""An opened patch is shown with a margin of 12 % on each side."""
FRAMED = """([x, y]) => {
  const canvas = document.querySelector('[data-testid="mask-layer"]');
  const {data} = canvas.getContext("2d").getImageData(x, y, 1, 1);
  return data.every((value) => value === 255);
}"""


def _viewer(page: Page) -> dict[str, float]:
    box = page.get_by_test_id("viewer").bounding_box()
    assert box is not None
    return dict(box)


def on_patch(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where a pixel of the open patch is, once its white frame stands in the middle."""
    box = _viewer(page)
    side = min(box["width"], box["height"]) / ROOM
    left, top = (box["width"] - side) / 2, (box["height"] - side) / 2
    for corner in (
        [math.ceil(left - 2), round(box["height"] / 2)],
        [round(box["width"] / 2), math.ceil(top - 2)],
    ):
        page.wait_for_function(FRAMED, arg=corner)
    scale = side / PATCH_PX
    return box["x"] + left + (x + 0.5) * scale, box["y"] + top + (y + 0.5) * scale


def on_slide(page: Page, x: float, y: float, side: int = 2048) -> tuple[float, float]:
    """Return where a level-0 pixel of a square slide is while the whole slide is shown."""
    box = _viewer(page)
    scale = float(page.get_by_test_id("viewer").get_attribute("data-zoom") or "nan")
    return (
        box["x"] + box["width"] / 2 + (x - side / 2) * scale,
        box["y"] + box["height"] / 2 + (y - side / 2) * scale,
    )
