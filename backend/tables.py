"""All tables in one place, for Alembic and for a complete metadata."""

from backend.exchange.webhooks import tables as webhooks
from backend.her2.regions import tables as regions
from backend.her2.reports import tables as reports
from backend.her2.scores import tables as scores
from backend.jobs import tables as jobs
from backend.kit.db.base import Base
from backend.kit.events import tables as events
from backend.learning.annotations import tables as annotations
from backend.learning.label_issues import tables as label_issues
from backend.learning.model_versions import tables as model_versions
from backend.learning.predictions import tables as predictions
from backend.learning.queue import tables as queue
from backend.learning.review import tables as review
from backend.learning.rounds import tables as rounds
from backend.learning.studies import tables as studies
from backend.people.audit import tables as audit
from backend.people.users import tables as users
from backend.slides.catalogue import tables as slides
from backend.slides.patches import tables as patches
from backend.slides.uploads import tables as uploads

__all__ = [
    "Base",
    "annotations",
    "audit",
    "events",
    "jobs",
    "label_issues",
    "model_versions",
    "patches",
    "predictions",
    "queue",
    "regions",
    "reports",
    "review",
    "rounds",
    "scores",
    "slides",
    "studies",
    "uploads",
    "users",
    "webhooks",
]
