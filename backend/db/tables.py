"""All tables in one place, for Alembic and for a complete metadata."""

from backend.annotations.tables import Annotation, AnnotationProposal
from backend.audit.tables import AuditEntry
from backend.auth.tables import ApiToken, BrowserSession, SignInLink, User
from backend.db.base import Base
from backend.events.tables import Event
from backend.jobs.tables import Job, WorkerHeartbeat
from backend.label_issues.tables import LabelAudit, LabelIssue, LabelJudgement
from backend.model_versions.tables import ModelVersion
from backend.patches.tables import AnalysisGrid, Patch, PatchInfluence
from backend.predictions.tables import PatchPrediction, Prediction, PredictionShard
from backend.regions.tables import RegionSet
from backend.reports.tables import CellEdit, Report
from backend.review.tables import Review
from backend.rounds.tables import Round, RoundCurve, RoundPatch
from backend.scores.tables import CellDecision, LiveScore
from backend.slides.tables import Slide
from backend.uploads.tables import Upload

__all__ = [
    "AnalysisGrid",
    "Annotation",
    "AnnotationProposal",
    "ApiToken",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "CellDecision",
    "CellEdit",
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
