"""A slide as rows, with all its patches: what ingest leaves, for tests that are not about it."""

from pathlib import Path

from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs, file_sha256
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide, SlideState, Split
from backend.slides.patches import installed_grid
from backend.slides.patches.grid import grid_shape, patch_region
from backend.slides.patches.tables import Patch


def add_slide(
    database: Database,
    settings: Settings,
    path: Path,
    *,
    size: tuple[int, int],
    mpp: float,
    split: Split | None = None,
) -> str:
    """Add a phantom's file (width × height px) as a ready slide of unreviewed patches; its id."""
    Blobs(settings.blob_folder).put(path.read_bytes())
    width, height = size
    slide = Slide(
        state=SlideState.READY,
        name=path.name,
        sha256=file_sha256(path),
        byte_size=path.stat().st_size,
        synthetic=True,
        width=width,
        height=height,
        mpp=mpp,
        split=split,
    )
    rows, columns = grid_shape(slide, settings.analysis_mpp)
    slide.patch_count = rows * columns
    with database.writing() as session:
        installed_grid.hold(session, settings.analysis_mpp)
        session.add(slide)
        session.flush()
        for row in range(rows):
            for column in range(columns):
                box = patch_region(slide, row, column, settings.analysis_mpp)
                session.add(
                    Patch(
                        slide_id=slide.id,
                        row=row,
                        column=column,
                        x0=box.x,
                        y0=box.y,
                        size0=box.width,
                        tissue_fraction=1.0,
                    )
                )
        return slide.id
