"""Build a file of a slide's masks that must be whole; other exports are made while they are sent.

The file is named by all that it follows from, so that a request finds the one that is of now.
"""

from pathlib import Path

from uuid_utils import uuid7

from backend.exchange.masks import contents, service
from backend.exchange.masks.format import Built
from backend.kit.storage.shard_files import DRAFT
from backend.kit.storage.whole_files import sync_folder, whole_file
from backend.slides.catalogue import service as slides
from worker.context import JobContext
from worker.exporters import MASK_FILES

WRITERS = {each.name: each.write for each in MASK_FILES}
BEFORE = "dicom-seg"
"""The format of jobs that name none: they were asked for when it was the only one."""


def run(context: JobContext) -> None:
    slide_id, _, _ = context.subject.partition(":")
    with_proposals = bool(context.params.get("proposals"))
    with context.reading() as session:
        export = contents.of_slide(session, slide_id, with_proposals=with_proposals)
    form = service.BY_NAME[context.params.get("format", BEFORE)]
    assert isinstance(form, Built)
    content = WRITERS[form.name](context, export)
    context.check()
    target = service.built_file(export, form, context.settings)
    draft = drafted(target, content)
    try:
        with context.finishing() as session:
            # a slide that was deleted meanwhile leaves no file behind
            slides.get(session, slide_id)
            draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    supersede(target, service.ending_of(form))


def drafted(target: Path, content: bytes) -> Path:
    """Write the file whole beside its place, before the transaction that puts it there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    place = target.with_name(f"{DRAFT}{uuid7()}")
    with whole_file(place, prefix=DRAFT) as file:
        file.write(content)
    return place


def supersede(target: Path, ending: str) -> None:
    """Make the file's name last; the slide's older ones, of masks as they were, go."""
    sync_folder(target.parent)
    for other in target.parent.glob(f"*{ending}"):
        if other != target:
            other.unlink(missing_ok=True)
