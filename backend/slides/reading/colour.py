"""A file's colour profile: its pixels brought to sRGB, which stain vectors and thresholds are for.

Honoured, because it was measured: on a HER2 core the optical density of tissue differs by 20 %
under a gamma of 1.8 and by 2.5 % under Adobe RGB, more than the step between two thresholds. A
transform took 2.4 to 3.3 ms a tile of 256 px on a busy machine; files in sRGB, nearly all, are seen
to be and cost nothing. Slides that were measured before keep their pixels
(Slide.colours_are_srgb).
"""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Rgb = npt.NDArray[np.uint8]
UNUSABLE = "colour_profile_unusable"
"""Quality flag: the file has a profile that can't be followed; its colours are as stored."""
MOST_BYTES = 16 * 1024**2
STEPS = 9
"""Colours a channel on which a profile is tried."""
NEAR = 1
"""A profile that changes no colour by more, of 255, is sRGB."""
LIGHT, DARK = 200, 80
"""White must stay at least so light and black at most so dark: else the profile is absurd."""


class ProfileUnusable(ValueError):
    """The profile can't be read, is of other pixels than RGB, or makes white no white."""


def check_size(length: int) -> None:
    if length > MOST_BYTES:
        raise ProfileUnusable("the profile is larger than any is")


class ToSrgb:
    """Brings pixels of one profile to sRGB, from any thread."""

    def __init__(self, profile: bytes) -> None:
        check_size(len(profile))
        try:
            self._transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                "RGB",
                "RGB",
                # white glass stays white, whatever white the profile is for
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            )
        except (OSError, ImageCms.PyCMSError, ValueError, TypeError) as error:
            raise ProfileUnusable(str(error)) from error

    def __call__(self, pixels: Rgb) -> Rgb:
        """Return RGB (h, w, 3) in sRGB."""
        image = ImageCms.applyTransform(Image.fromarray(pixels), self._transform)
        assert image is not None, "a new image is asked for"
        return np.asarray(image)


def to_srgb(profile: bytes | None) -> ToSrgb | None:
    """Return what brings a file's pixels to sRGB; None where they are. Raises ProfileUnusable."""
    if not profile:
        return None
    transform = ToSrgb(profile)
    levels = np.linspace(0, 255, STEPS).round().astype(np.uint8)
    tried = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(STEPS, -1, 3)
    converted = transform(np.ascontiguousarray(tried))
    if converted[-1, -1].min() < LIGHT or converted[0, 0].max() > DARK:
        raise ProfileUnusable("by the profile white is no white or black no black")
    if np.abs(converted.astype(int) - tried).max() <= NEAR:
        return None
    return transform
