"""All tables in one place, for Alembic and for a complete metadata."""

from backend.her2.regions.tables import RegionSet
from backend.her2.reports.tables import Report
from backend.her2.scores.tables import CellDecision, LiveScore
from backend.jobs.tables import Job, WorkerHeartbeat
from backend.kit.db.base import Base
from backend.kit.events.tables import Event
from backend.learning.annotations.tables import Annotation, AnnotationProposal
from backend.learning.label_issues.tables import LabelAudit, LabelIssue, LabelJudgement
from backend.learning.model_versions.tables import ModelVersion
from backend.learning.predictions.tables import PatchPrediction, Prediction, PredictionShard
from backend.learning.queue.tables import PatchInfluence
from backend.learning.review.tables import Review
from backend.learning.rounds.tables import Round, RoundCurve, RoundPatch
from backend.people.audit.tables import AuditEntry
from backend.people.users.tables import (
    ApiToken,
    BrowserSession,
    SignInLink,
    User,
)
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import AnalysisGrid, Patch
from backend.slides.uploads.tables import Upload

__all__ = [
    "AnalysisGrid",
    "Annotation",
    "AnnotationProposal",
    "ApiToken",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "CellDecision",
    "Event",
    "Job",
    "LabelAudit",
    "LabelIssue",
    "LabelJudgement",
    "LiveScore",
    "ModelVersion",
    "Patch",
    "PatchInfluence",
    "PatchPrediction",
    "Prediction",
    "PredictionShard",
    "RegionSet",
    "Report",
    "Review",
    "Round",
    "RoundCurve",
    "RoundPatch",
    "SignInLink",
    "Slide",
    "Upload",
    "User",
    "WorkerHeartbeat",
]
