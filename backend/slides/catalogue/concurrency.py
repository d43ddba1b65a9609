"""Two people and one slide: its ETag, and its row held while it changes."""

from sqlalchemy.orm import Session

from backend.kit import conditional
from backend.kit.errors import PreconditionFailed
from backend.slides.catalogue import service
from backend.slides.catalogue.description import describe
from backend.slides.catalogue.tables import Slide


class SlideStale(PreconditionFailed):
    title = "Somebody changed this slide meanwhile"


def etag(slide: Slide) -> str:
    """Return the ETag of what people change of a slide; progress and counts are not in it."""
    return conditional.state_etag(slide.mpp, slide.case_id, slide.block, slide.stain, slide.state)


def require_seen(session: Session, slide_id: str, if_match: str | None) -> None:
    """Hold a slide's row until the transaction ends; raise SlideStale if another was seen."""
    service.get(session, slide_id)
    slide = session.get_one(Slide, slide_id, with_for_update=True, populate_existing=True)
    if conditional.is_stale(if_match, etag(slide)):
        raise SlideStale(
            "The slide is no longer as you saw it. Look at it again, then change it.",
            headers={"ETag": etag(slide)},
            current=describe(session, [slide])[0].model_dump(mode="json"),
        )
