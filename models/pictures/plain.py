"""The pictures of a JPEG or PNG file; those of a TIFF are read where the service reads slides."""

from pathlib import Path

from models.pictures import jpeg, png
from models.pictures.inside import Inside

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def inside_of(path: Path) -> list[Inside]:
    """Return a file's pictures in its order; none where it is no JPEG or PNG. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(len(PNG))
        if head == PNG:
            return png.inside(file)
        return jpeg.inside(file) if head.startswith(JPEG) else []
