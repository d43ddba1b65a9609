"""The grid that an installation's patches lie on: kept with the first ones, the same for good.

Masks that people drew, proposals and models fit this grid alone. A setting that says otherwise
would shift every patch under its mask, so nothing starts, and no job works, with such a setting.
"""

from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from backend.kit.db.session import Database
from backend.kit.errors import Conflict
from backend.slides.patches.tables import AnalysisGrid


class AnalysisMppChanged(Conflict):
    code, title = "analysis_mpp_changed", "The patches lie on another grid"


def recorded_mpp(session: Session) -> float | None:
    """Return the µm per pixel of the grid that the patches lie on; None where there are none."""
    grid = session.get(AnalysisGrid, 1)
    return None if grid is None else grid.mpp


def require(session: Session, analysis_mpp: float) -> None:
    """Raise AnalysisMppChanged if the patches lie on a grid of another pixel size, µm."""
    recorded = recorded_mpp(session)
    if recorded is not None and recorded != analysis_mpp:
        raise AnalysisMppChanged(
            f"MEMBRANA_ANALYSIS_MPP is {analysis_mpp:g}, but the patches and masks of this "
            f"installation lie on a grid of {recorded:g} µm per pixel. Set it to {recorded!r}, or "
            "begin another installation in a data folder of its own."
        )


def hold(session: Session, analysis_mpp: float) -> None:
    """Keep the pixel size of the first patches; raise AnalysisMppChanged if there are others."""
    if recorded_mpp(session) is None:
        try:
            with session.begin_nested():
                session.add(AnalysisGrid(mpp=analysis_mpp))
        except IntegrityError:
            # another worker's first patches, in the same moment
            session.expire_all()
    require(session, analysis_mpp)


def require_at_start(database: Database, analysis_mpp: float) -> None:
    """Do the same before a process works; a database that is empty or away has nothing to say."""
    try:
        if inspect(database.engine).has_table(AnalysisGrid.__tablename__):
            with database.reading() as session:
                require(session, analysis_mpp)
    except OperationalError:
        return
