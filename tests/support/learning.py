"""Slides and people's masks as rows, for tests of learning that don't test intake."""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from sqlalchemy import select

from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations.tables import Annotation, Source
from backend.people.users.tables import Role, User
from backend.settings import Settings
from backend.slides.catalogue.tables import Split
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.tables import Patch, PatchRole, PatchState
from models.phantom import PhantomSpec, region, write
from tests.support import rows

SIDE = 1024
MPP = 0.25
FOLDER = TemporaryDirectory(prefix="membrana-phantom-")


@dataclass
class Learning:
    """Where slides and masks lie, for a test to add its own to."""

    database: Database
    settings: Settings

    @property
    def blobs(self) -> Blobs:
        return Blobs(self.settings.blob_folder)


def spec_of(seed: int) -> PhantomSpec:
    return PhantomSpec(width=SIDE, height=SIDE, seed=seed, her2="3+", tumour=1.0)


@cache
def phantom_file(seed: int) -> Path:
    path = Path(FOLDER.name) / f"phantom-{seed}.tif"
    write(spec_of(seed), path)
    return path


def add_slide(database: Database, settings: Settings, seed: int, split: Split | None = None) -> str:
    """Add a ready slide of 4×4 unreviewed patches; return its id."""
    path = phantom_file(seed)
    return rows.add_slide(database, settings, path, size=(SIDE, SIDE), mpp=MPP, split=split)


def truth(seed: int, row: int, column: int) -> np.ndarray:
    return region(spec_of(seed), column * PATCH_PX, row * PATCH_PX, PATCH_PX, PATCH_PX).mask


def png(mask: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def annotate(
    database: Database,
    settings: Settings,
    slide_id: str,
    place: tuple[int, int],
    role: PatchRole,
    mask: np.ndarray,
) -> str:
    """Add a person's mask of a patch, as the next revision; return the annotation's id."""
    sha256 = Blobs(settings.blob_folder).put(png(mask))
    with database.writing() as session:
        user = session.scalar(select(User).where(User.name == "annotator"))
        if user is None:
            user = User(name="annotator", role=Role.PATHOLOGIST)
            session.add(user)
            session.flush()
        patch = session.scalars(
            select(Patch).where(
                Patch.slide_id == slide_id, Patch.row == place[0], Patch.column == place[1]
            )
        ).one()
        annotation = Annotation(
            patch_id=patch.id,
            revision=patch.revision + 1,
            base_revision=patch.revision,
            author_id=user.id,
            mask_sha256=sha256,
            source=Source.SCRATCH,
        )
        session.add(annotation)
        patch.revision += 1
        patch.role = patch.role or role
        patch.state = PatchState.ANNOTATED
        session.flush()
        return annotation.id


def annotate_some(
    database: Database, settings: Settings, slide_id: str, seed: int, training: int, gold: int
) -> None:
    """Annotate the first patches of a phantom slide with its truth: training ones, then gold."""
    for index in range(training + gold):
        place = divmod(index, SIDE // PATCH_PX)
        role = PatchRole.TRAINING if index < training else PatchRole.GOLD
        annotate(database, settings, slide_id, place, role, truth(seed, *place))
