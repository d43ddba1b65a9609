"""The service put together: which routes there are, from the storeys upward."""

from backend import health, metrics
from backend.events import routes as events
from backend.exchange.masks import routes as exports
from backend.her2.regions import routes as regions
from backend.her2.reports import routes as reports
from backend.her2.scores import routes as scores
from backend.jobs import routes as jobs
from backend.learning.annotations import geojson_routes as annotations_geojson
from backend.learning.annotations import routes as annotations
from backend.learning.label_issues import routes as label_issues
from backend.learning.model_versions import routes as model_versions
from backend.learning.predictions import routes as predictions
from backend.learning.review import routes as review
from backend.learning.rounds import routes as rounds
from backend.people.accounts import routes as auth
from backend.people.audit import routes as audit
from backend.slides.catalogue import routes as slides
from backend.slides.patches import routes as patches
from backend.slides.uploads import routes as uploads

ROUTES = (
    health,
    auth,
    uploads,
    slides,
    regions,
    patches,
    annotations,
    annotations_geojson,
    exports,
    review,
    predictions,
    rounds,
    model_versions,
    label_issues,
    reports,
    scores,
    jobs,
    events,
    audit,
    metrics,
)
