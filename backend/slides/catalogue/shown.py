"""What a slide is, for who asks for one tile of it after the other: remembered for a moment."""

from backend.kit.db.remembered import Remembered
from backend.kit.db.session import Database
from backend.slides.catalogue import service
from backend.slides.catalogue.tables import Slide

Measured = tuple[Slide, int, int]
SLIDES = Remembered[Measured](Slide.__tablename__, most=2000)


async def visible(database: Database, slide_id: str) -> Measured:
    """Return a slide whose pixels can be shown, as `service.visible` does; for reading alone."""

    def read() -> Measured:
        with database.reading() as session:
            return service.visible(session, slide_id)

    return await SLIDES.get(database, slide_id, read)
