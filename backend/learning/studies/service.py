"""Studies: several people read the same patches, each without seeing what the others draw.

That nobody sees another's mask does not hang on each address that shows masks: while a study is
open its patches have no annotation, and nobody can make one. Readings are kept apart.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from backend.kit.conditional import revision_etag
from backend.kit.db.base import now
from backend.kit.db.locks import alone
from backend.kit.errors import Conflict, Forbidden, NotFound, PreconditionFailed, Unprocessable
from backend.kit.events.facts import Announced
from backend.kit.facts import on
from backend.kit.states import move
from backend.learning.annotations import announcements, effort
from backend.learning.studies.tables import Reading, Study, StudyPatch, StudyReader, StudyState
from backend.people.audit import service as audit
from backend.people.users import service as users
from backend.people.users.tables import Role, User
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.facts import ReadInStudy
from backend.slides.catalogue.tables import SlideState
from backend.slides.patches import leases
from backend.slides.patches import service as patches
from backend.slides.patches.tables import PatchState


class StudyNotFound(NotFound):
    code = "study_not_found"


class NotInStudy(NotFound):
    code = "patch_not_in_study"


class ReadingNotFound(NotFound):
    code = "reading_not_found"


class StudyOpen(Conflict):
    code, title = "study_open", "This study is not closed yet"


class StudyClosed(Conflict):
    code, title = "study_closed", "This study is closed"


class PatchInStudy(Conflict):
    code, title = "patch_in_study", "This patch is read in a study"


class PatchTaken(Conflict):
    code = "patch_not_free"


class NotAReader(Forbidden):
    code = "not_a_reader"


class ReadingStale(PreconditionFailed):
    code = "stale"


@dataclass(frozen=True)
class StudyView:
    """readings: the newest revision by (patch, reader), of those that the caller may know of."""

    study: Study
    readers: Mapping[str, str]
    patch_ids: Sequence[str]
    readings: Mapping[tuple[str, str], int]


def make(
    session: Session, *, by: User, name: str, reader_ids: Collection[str], patch_ids: Sequence[str]
) -> Study:
    """Begin a study on patches that a model has seen and nobody has drawn on.

    They leave the queue. Raise PatchTaken for others, Unprocessable for who may not annotate.
    """
    for reader_id in reader_ids:
        reader = users.get_user(session, reader_id)
        if reader.role == Role.VIEWER or not reader.active:
            raise Unprocessable(f"{reader.name} may not annotate.", code="reader_may_not_annotate")
    study = Study(name=name, made_by=by.id)
    session.add(study)
    session.flush()
    # first the patches, as a save does: in the other order each would wait for the other
    patches.hold(session, patch_ids)
    require_at_rest(session, patch_ids)
    for patch_id in sorted(patch_ids):
        alone(session, f"study {patch_id}")
        patch = patches.get(session, patch_id)
        if patch.revision or patch.state not in {PatchState.PROPOSED, PatchState.SKIPPED}:
            raise PatchTaken(
                f"The patch {patch_id} is {patch.state}: a study takes patches that a model has "
                "seen, that are in nobody's hands and that nobody has drawn on."
            )
        if open_study_of(session, patch_id) is not None:
            raise PatchInStudy(f"The patch {patch_id} is read in another study.")
        if patch.state == PatchState.PROPOSED:
            leases.skip(session, patch_id, user=by)
        session.add(StudyPatch(study_id=study.id, patch_id=patch_id))
    session.add_all(StudyReader(study_id=study.id, user_id=each) for each in reader_ids)
    session.flush()
    audit.record(
        session,
        by,
        "study.made",
        "study",
        study.id,
        readers=sorted(reader_ids),
        patches=len(patch_ids),
    )
    return study


def require_at_rest(session: Session, patch_ids: Sequence[str]) -> None:
    """Hold the patches' slides, and raise SlideNotVisible if one is being read anew.

    Its patches are still there, but go when the worker comes to it, and the readings with them.
    """
    for slide_id in sorted({patch.slide_id for patch in patches.by_id(session, patch_ids)}):
        slides.lock(session, slide_id, key_share=True)
        if slides.get(session, slide_id).state not in {SlideState.READY, SlideState.ARCHIVED}:
            raise slides.SlideNotVisible(
                "A slide of these patches is being read anew: begin the study when it is ready."
            )


@on(ReadInStudy)
def is_read(session: Session, question: ReadInStudy) -> bool:
    """Say whether any study, open or closed, has a patch of the slide."""
    of_it = StudyPatch.patch_id.in_(patches.ids_of(question.slide_id))
    return session.scalar(select(StudyPatch.patch_id).where(of_it).limit(1)) is not None


def open_study_of(session: Session, patch_id: str) -> str | None:
    """Return the open study that a patch is read in."""
    return session.scalar(
        select(Study.id)
        .join(StudyPatch, StudyPatch.study_id == Study.id)
        .where(StudyPatch.patch_id == patch_id, Study.state == StudyState.OPEN)
        .limit(1)
    )


@on(Announced)
def keep_blind(session: Session, settings: Settings, fact: Announced) -> None:
    """Undo an annotation of a patch that is read in an open study: its readers would see it."""
    if fact.topic != announcements.TOPIC:
        return
    for patch_id, _ in fact.subjects:
        alone(session, f"study {patch_id}")
        if open_study_of(session, patch_id) is not None:
            raise PatchInStudy(
                "Several people read this patch, each without seeing the others. Readers save "
                "their mask in the study; everybody else when it is closed."
            )


def get(session: Session, study_id: str) -> Study:
    study = session.get(Study, study_id)
    if study is None:
        raise StudyNotFound("There is no study with this id.")
    return study


def listing() -> Select[Study]:
    return select(Study)


def readers_of(session: Session, study_id: str) -> list[str]:
    statement = select(StudyReader.user_id).where(StudyReader.study_id == study_id)
    return sorted(session.scalars(statement))


def view(session: Session, study: Study, user: User) -> StudyView:
    """Return a study as a person may see it."""
    readers = readers_of(session, study.id)
    in_it = select(StudyPatch.patch_id).where(StudyPatch.study_id == study.id)
    newest = session.execute(
        select(Reading.patch_id, Reading.reader_id, func.max(Reading.revision))
        .where(Reading.study_id == study.id)
        .group_by(Reading.patch_id, Reading.reader_id)
    )
    return StudyView(
        study,
        users.names(session, readers),
        sorted(session.scalars(in_it)),
        {
            (patch_id, reader_id): revision
            for patch_id, reader_id, revision in newest
            if may_see(study, readers, reader_id, user)
        },
    )


def may_see(study: Study, readers: Collection[str], reader_id: str, user: User) -> bool:
    """Say whether a person may see a reading: their own, or all when nobody is blind any more.

    An administrator who does not read in it may look while it is open.
    """
    if study.state == StudyState.CLOSED or reader_id == user.id:
        return True
    return user.role == Role.ADMIN and user.id not in readers


def require_in(session: Session, study: Study, patch_id: str) -> None:
    if session.get(StudyPatch, (study.id, patch_id)) is None:
        raise NotInStudy("This patch is not read in this study.")


def newest(session: Session, study_id: str, patch_id: str, reader_id: str) -> Reading | None:
    return session.scalar(
        select(Reading)
        .where(
            Reading.study_id == study_id,
            Reading.patch_id == patch_id,
            Reading.reader_id == reader_id,
        )
        .order_by(Reading.revision.desc())
        .limit(1)
    )


def all_newest(session: Session, study_id: str) -> list[Reading]:
    """Return each reader's newest mask of each patch, in the order of patches and readers."""
    rows = session.scalars(
        select(Reading)
        .where(Reading.study_id == study_id)
        .order_by(Reading.patch_id, Reading.reader_id, Reading.revision)
    )
    return list({(row.patch_id, row.reader_id): row for row in rows}.values())


def reading_of(
    session: Session, study_id: str, patch_id: str, reader_id: str, user: User
) -> Reading:
    """Return a reader's newest mask that this person may see; raise ReadingNotFound, StudyOpen."""
    study = get(session, study_id)
    require_in(session, study, patch_id)
    if not may_see(study, readers_of(session, study.id), reader_id, user):
        raise StudyOpen("Each reader sees their own masks until the study is closed.")
    reading = newest(session, study_id, patch_id, reader_id)
    if reading is None:
        raise ReadingNotFound("This reader has not read this patch.")
    return reading


def read(
    session: Session,
    study_id: str,
    patch_id: str,
    *,
    by: User,
    base_revision: int,
    mask_sha256: str,
    seconds_spent: float | None,
) -> tuple[Reading, bool]:
    """Write a reader's next mask of a patch; return it, and whether this request wrote it."""
    study = get(session, study_id)
    require_in(session, study, patch_id)
    if by.id not in readers_of(session, study_id):
        raise NotAReader("You are not one of this study's readers.")
    alone(session, f"reading {study_id} {patch_id} {by.id}")
    if session.scalar(select(Study.state).where(Study.id == study_id).with_for_update()) != (
        StudyState.OPEN
    ):
        raise StudyClosed("Masks of a closed study stay as they are.")
    last = newest(session, study_id, patch_id, by.id)
    revision = last.revision if last else 0
    if last and revision == base_revision + 1 and last.mask_sha256 == mask_sha256:
        return last, False
    if revision != base_revision:
        raise ReadingStale(
            f"Your newest mask of this patch is revision {revision}, saved elsewhere.",
            headers={"ETag": revision_etag(revision)},
            current={"revision": revision},
        )
    slide = slides.get(session, patches.get(session, patch_id).slide_id)
    effort.check(seconds_spent, since=slide.created_at)
    reading = Reading(
        study_id=study_id,
        patch_id=patch_id,
        reader_id=by.id,
        revision=revision + 1,
        mask_sha256=mask_sha256,
        seconds_spent=seconds_spent,
    )
    session.add(reading)
    session.flush()
    # neither hash nor revision: an administrator who reads, too, would see them in the trail
    audit.record(session, by, "study.read", "study", study_id, patch_id=patch_id)
    return reading, True


def close(session: Session, study_id: str, *, by: User) -> Study:
    """End the reading: everybody may compare from now on, and nobody changes a mask."""
    study = get(session, study_id)
    if not move(session, Study, study_id, StudyState.CLOSED, closed_at=now()):
        raise StudyClosed("This study is closed already.")
    session.refresh(study)
    audit.record(session, by, "study.closed", "study", study_id)
    return study
