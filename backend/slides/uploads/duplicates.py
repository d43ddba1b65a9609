"""What becomes of what was said with a file that is here already: told, never dropped in silence.

The slide that is here keeps what people have said of it, since others may rest on it. Only a case
and a pixel size are taken, where it has none.
"""

from typing import Any

from sqlalchemy.orm import Session

from backend.people.users.tables import User
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.slides.uploads.schemas import Duplicate, Said

NAMES = {"name": "name", "stain": "stain", "case_id": "case", "mpp": "pixel size"}


def reconcile(
    session: Session,
    slide: Slide,
    sent: dict[str, Any],
    *,
    by: User,
    waited_for_mpp: bool = False,
) -> Duplicate:
    """Hold what was said now (name, stain, case_id, mpp; None: nothing) against a slide's own.

    waited_for_mpp: the slide had no pixel size, and took the one that was said now.
    """
    unchanged: list[Said] = []
    taken: list[Said] = []
    for field in NAMES:
        now, here = sent.get(field), getattr(slide, field)
        if field == "mpp" and waited_for_mpp and now is not None:
            taken.append(Said(field=field, sent=now, slide=here))
            continue
        if now in (None, here):
            continue
        if field == "case_id" and here is None:
            slides.join_case(slide, now)
            taken.append(Said(field=field, sent=now, slide=now))
        else:
            unchanged.append(Said(field=field, sent=now, slide=here))
    if taken:
        slides.record_change(session, slide, [each.field for each in taken], by=by)
    return Duplicate(detail=sentence(slide, unchanged, taken), kept=unchanged, taken=taken)


def sentence(slide: Slide, unchanged: list[Said], taken: list[Said]) -> str:
    words = [f"This file is here already, as “{slide.name}”: no second slide was made."]
    words += [f"Its {NAMES[each.field]} is now “{each.slide}”." for each in taken]
    words += [
        f"Its {NAMES[each.field]} stays "
        + (f"“{each.slide}”" if each.slide is not None else "unknown")
        + f"; “{each.sent}” was not taken."
        for each in unchanged
        # the name it has is told by the first sentence
        if each.field != "name"
    ]
    if any(each.field != "name" for each in unchanged):
        words.append("Change it at the slide if it is wrong.")
    return " ".join(words)
