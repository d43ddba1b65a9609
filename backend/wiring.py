"""The service put together: which routes there are, and who follows which facts."""

from backend import health, metrics
from backend.events import routes as events
from backend.exchange.masks import geojson_routes as annotations_geojson
from backend.exchange.masks import import_jobs
from backend.exchange.masks import routes as exports
from backend.exchange.monai import routes as monai
from backend.exchange.reports import routes as report_files
from backend.exchange.webhooks import routes as webhooks
from backend.exchange.webhooks import service as webhook_service
from backend.her2.regions import routes as regions
from backend.her2.reports import overrides as report_overrides
from backend.her2.reports import routes as reports
from backend.her2.reports import service as report_service
from backend.her2.scores import changes as score_changes
from backend.her2.scores import routes as scores
from backend.her2.scores import service as score_service
from backend.jobs import routes as jobs
from backend.kit import facts
from backend.learning.annotations import edit_routes as edits
from backend.learning.annotations import routes as annotations
from backend.learning.label_issues import lifecycle as audit_lifecycle
from backend.learning.label_issues import routes as label_issues
from backend.learning.model_versions import routes as model_versions
from backend.learning.overlays import routes as overlays
from backend.learning.patch_views import routes as patches
from backend.learning.predictions import failures as prediction_failures
from backend.learning.predictions import routes as predictions
from backend.learning.predictions import service as prediction_service
from backend.learning.queue import routes as queue
from backend.learning.review import routes as review
from backend.learning.rounds import lifecycle as round_lifecycle
from backend.learning.rounds import routes as rounds
from backend.learning.rounds import service as round_service
from backend.learning.statistics import routes as statistics
from backend.learning.studies import routes as studies
from backend.learning.studies import service as study_service
from backend.people.accounts import routes as auth
from backend.people.audit import routes as audit
from backend.slides.catalogue import routes as slides
from backend.slides.catalogue import service as slide_service
from backend.slides.uploads import routes as uploads

ROUTES = (
    health,
    auth,
    uploads,
    slides,
    regions,
    patches,
    queue,
    annotations,
    edits,
    annotations_geojson,
    exports,
    review,
    predictions,
    overlays,
    rounds,
    model_versions,
    label_issues,
    statistics,
    studies,
    report_files,
    reports,
    scores,
    jobs,
    events,
    audit,
    webhooks,
    monai,
    metrics,
)

LISTENERS = (
    # another model predicts: every slide is seen again
    prediction_service,
    # a slide is shown: why it has no proposals
    prediction_failures,
    # a mask, a verdict on one, regions or a whole prediction: the slide's live score follows
    score_changes,
    # statistics: who signed another category than was computed
    report_overrides,
    # a mask: perhaps enough for the next round
    round_service,
    # a job failed for good: what waits for it hears of it (`jobs.on_failure`)
    slide_service,
    round_lifecycle,
    audit_lifecycle,
    score_service,
    report_service,
    import_jobs,
    # an annotation: none of a patch that is read blind
    study_service,
    # whatever is announced: programs elsewhere that are told of it
    webhook_service,
)
"""Who follows what happens below, in this order; each says with `@on` which facts it follows."""


def listen() -> None:
    """Have this process follow every fact: called where one begins to write, API or worker."""
    facts.listen(LISTENERS)
