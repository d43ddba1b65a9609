"""Build a file of a slide's masks that must be whole; other exports are made while they are sent.

The file is named by all that it follows from, so that a request finds the one that is of now.
"""

from pathlib import Path

from backend.exchange.masks import contents, service
from backend.exchange.masks.format import Built
from backend.exchange.masks.formats import load
from backend.kit.storage.shard_files import DRAFT
from backend.kit.storage.whole_files import draft, sync_folder, to_disk
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
    form = load(context.params.get("format", BEFORE))
    assert isinstance(form, Built)
    content = WRITERS[form.name](context, export)
    context.check()
    target = service.built_file(export, form, context.settings)
    with draft(target.parent, prefix=DRAFT) as file:
        file.write(content)
        to_disk(file)
        with context.finishing() as session:
            # a slide that was deleted meanwhile leaves no file behind
            slides.get(session, slide_id)
            Path(file.name).replace(target)
    supersede(target, service.ending_of(form))


def supersede(target: Path, ending: str) -> None:
    """Make the file's name last; the slide's older ones, of masks as they were, go."""
    sync_folder(target.parent)
    for other in target.parent.glob(f"*{ending}"):
        if other != target:
            other.unlink(missing_ok=True)
