"""What becomes of what was said with a file that is here already: told, never dropped in silence.

The slide that is here keeps what people have said of it, since others may rest on it. Only a case
and a pixel size are taken, where it has none.
"""

from typing import Any

from sqlalchemy.orm import Session

from backend.kit.events.service import announce
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.slides.catalogue.tables import Slide
from backend.slides.uploads.schemas import Duplicate, Said

NAMES = {"name": "name", "stain": "stain", "case_id": "case", "mpp": "pixel size"}


def settle(
    session: Session,
    slide: Slide,
    said: dict[str, Any],
    *,
    by: User | None,
    waited_for_mpp: bool = False,
) -> Duplicate:
    """Hold what was said now (name, stain, case_id, mpp; None: nothing) against a slide's own.

    waited_for_mpp: the slide had no pixel size, and took the one that was said now.
    """
    kept: list[Said] = []
    taken: list[Said] = []
    for field in NAMES:
        now, here = said.get(field), getattr(slide, field)
        if field == "mpp" and waited_for_mpp and now is not None:
            taken.append(Said(field=field, sent=now, slide=here))
            continue
        if now in (None, here):
            continue
        if field == "case_id" and here is None:
            slide.case_id = now
            taken.append(Said(field=field, sent=now, slide=now))
        else:
            kept.append(Said(field=field, sent=now, slide=here))
    if taken:
        session.flush()
        audit.record(
            session, by, "slide.changed", "slide", slide.id, fields=[each.field for each in taken]
        )
        announce(session, Slide.TOPIC, slide.id, {"state": str(slide.state)})
    return Duplicate(detail=sentence(slide, kept, taken), kept=kept, taken=taken)


def sentence(slide: Slide, kept: list[Said], taken: list[Said]) -> str:
    words = [f"This file is here already, as “{slide.name}”: no second slide was made."]
    words += [f"Its {NAMES[each.field]} is now “{each.slide}”." for each in taken]
    words += [
        f"Its {NAMES[each.field]} stays "
        + (f"“{each.slide}”" if each.slide is not None else "unknown")
        + f"; “{each.sent}” was not taken."
        for each in kept
        # the name it has is told by the first sentence
        if each.field != "name"
    ]
    if any(each.field != "name" for each in kept):
        words.append("Change it at the slide if it is wrong.")
    return " ".join(words)
