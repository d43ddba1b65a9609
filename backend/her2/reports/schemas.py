"""Reports as the contract shows them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from backend.her2.reports.integrity import Standing
from backend.her2.reports.requests import ReportRequest
from backend.her2.reports.service import Decision
from backend.her2.reports.signing import Verdict
from backend.her2.reports.tables import Meaning, Report, ReportState
from backend.her2.scores.document import (
    Assay,
    Category,
    EnteredIsh,
    Gap,
    ReportInputs,
    ReviewExtent,
    ScoreDocument,
    SlideLabels,
)
from backend.her2.scores.schemas import IshIn, ProtocolName, Reason, Words, require_class
from backend.her2.scores.tables import CellAction
from backend.jobs.schemas import JobOut
from backend.jobs.tables import Job
from backend.kit.contract import FULL, OF_ROW, Failure, Shown
from backend.kit.product import RESEARCH_USE_ONLY
from backend.learning.annotations.schemas import Author
from backend.people.accounts.schemas import Password

Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]


class AssayIn(BaseModel, extra="forbid"):
    """What was stained and how, as far as a person says so."""

    specimen: Words | None = None
    block: Words | None = None
    antibody: Words | None = None
    platform: Words | None = None
    test_type: Words | None = None
    fixation: Words | None = None
    fixation_hours: float | None = Field(None, ge=0, le=10_000, allow_inf_nan=False)
    cold_ischaemia_minutes: float | None = Field(None, ge=0, le=100_000, allow_inf_nan=False)
    controls: Literal["passed", "failed"] | None = None
    cytoplasm_obscures: bool | None = Field(
        None, description="Cytoplasm hides membranes: a 2+ pattern that cannot be counted."
    )


class ReportIn(BaseModel, extra="forbid"):
    """What to score and how. `regions`: ids, or GeoJSON; left out: all that are drawn."""

    protocol: ProtocolName = ProtocolName.ASCO_CAP_2023_BREAST
    model_version: str | None = Field(None, max_length=100, description="Name or id.")
    regions: list[str] | dict[str, Any] | None = None
    gap: Gap | None = Field(
        None, description="Policy for patterns the breast guideline leaves open."
    )
    merge_zero_plus: bool = Field(
        default=False, description="Print 0+ as 0; the percentages stay as they are."
    )
    assay: AssayIn = AssayIn()
    ish: IshIn | None = None

    @model_validator(mode="after")
    def gap_is_for_breast(self) -> "ReportIn":
        if self.gap and self.protocol != ProtocolName.ASCO_CAP_2023_BREAST:
            raise ValueError(f"{self.protocol} leaves no pattern open: it takes no gap policy.")
        if self.merge_zero_plus and self.protocol != ProtocolName.ASCO_CAP_2023_BREAST:
            raise ValueError(f"{self.protocol} has no category 0+ that could be printed as 0.")
        return self

    def wanted(self) -> ReportRequest:
        return ReportRequest(
            protocol=str(self.protocol),
            model_version=self.model_version,
            regions=self.regions,
            gap=self.gap,
            merge_zero_plus=self.merge_zero_plus,
            assay=self.assay.model_dump(exclude_none=True),
            ish=self.ish.hybridisation() if self.ish else None,
        )


class AmendmentIn(ReportIn):
    reason: Reason


class SignIn(BaseModel, extra="forbid"):
    """A pathologist's own category. The password is asked again; it is kept nowhere."""

    score: Category
    password: Password
    comment: Comment = ""
    meaning: Meaning = Meaning.AUTHOR
    reason: Words = Field("", description="Needed where the category is not the computed one.")
    ish: IshIn | None = Field(None, description="Takes the place of what was entered before.")
    without_review: bool = Field(
        default=False,
        description="Sign although nobody has reviewed a patch or decided on a cell of it here.",
    )

    def verdict(self) -> Verdict:
        ish = self.ish.hybridisation() if self.ish else None
        return Verdict(
            self.score, self.meaning, self.comment, self.reason, ish, self.without_review
        )


class DecisionIn(BaseModel, extra="forbid"):
    cell: int = Field(ge=0)
    action: CellAction
    label: str | None = Field(None, alias="class")

    @model_validator(mode="after")
    def a_class_is_named(self) -> "DecisionIn":
        require_class(self.action, self.label, "class")
        return self


class DecisionsIn(BaseModel, extra="forbid"):
    """Decisions on cells, one or a lasso's, for one reason."""

    edits: list[DecisionIn] = Field(min_length=1, max_length=5000)
    reason: Reason

    def decisions(self) -> list[Decision]:
        return [Decision(each.cell, each.action, each.label) for each in self.edits]


class ReportJob(JobOut):
    """The job that computes a report; its subject is the report's id."""

    report_id: str

    @classmethod
    def of(cls, job: Job, report_id: str) -> "ReportJob":
        return cls(**JobOut.model_validate(job).model_dump(), report_id=report_id)


class EditOut(BaseModel):
    model_config = OF_ROW

    number: int
    cell: int
    action: CellAction
    label: str | None = Field(serialization_alias="class")
    measured: str
    author: Author
    reason: str
    created_at: datetime


class SignatureOut(BaseModel):
    by: Author
    full_name: str | None
    role: str | None
    without_review: bool | None = Field(description="Null: signed by a version that kept none.")
    at: datetime
    meaning: Meaning
    score: str
    comment: str
    reason: str
    sha256: str
    pdf_sha256: str | None
    key: str | None = Field(
        description="The installation's key that signed it; null: signed before there was one."
    )
    ed25519: str | None

    @classmethod
    def of(cls, report: Report) -> "SignatureOut | None":
        if not (report.signer and report.signed_at and report.signed_meaning):
            return None
        facts = report.signed_facts
        return cls(
            by=Author.of(report.signer),
            full_name=facts and facts["signer"]["full_name"],
            role=facts and facts["signer"]["role"],
            without_review=None if facts is None else not facts["seen"]["anything"],
            at=report.signed_at,
            meaning=report.signed_meaning,
            score=str(report.signed_score),
            comment=report.signed_comment,
            reason=report.signed_reason,
            sha256=str(report.signature_sha256),
            pdf_sha256=report.pdf_sha256,
            key=report.signature_key,
            ed25519=report.signature_ed25519,
        )


class SignatureCheck(BaseModel):
    """Whether what is stored of a report is what was signed.

    `hash_only`: all hashes fit, and it was signed before the installation had a key.
    """

    model_config = FULL

    report_id: str
    standing: Standing
    key: str | None
    findings: list[str]


class ReportSummary(BaseModel):
    """A report as it is listed."""

    model_config = FULL

    id: str
    slide_id: str
    state: ReportState
    version: int
    amends: str | None
    amendment_reason: str
    protocol: str
    score: Annotated[str, Shown(Category)] | None
    printed_score: str | None
    requested_by: Author
    created_at: datetime
    computed_at: datetime | None
    job_id: str | None
    problem: Annotated[dict[str, Any], Shown(Failure)] | None
    edit_count: int
    document_sha256: str | None
    signature: SignatureOut | None
    research_use_only: str = RESEARCH_USE_ONLY

    @classmethod
    def of(cls, report: Report, **more: Any) -> Self:
        return cls(
            id=report.id,
            slide_id=report.slide_id,
            state=report.state,
            version=report.version,
            amends=report.amends_id,
            amendment_reason=report.amendment_reason,
            protocol=report.inputs["protocol"],
            score=report.score,
            printed_score=report.printed_score,
            requested_by=Author.of(report.requester),
            created_at=report.created_at,
            computed_at=report.computed_at,
            job_id=report.job_id,
            problem=report.problem,
            edit_count=report.edit_count,
            document_sha256=report.document_sha256,
            signature=SignatureOut.of(report),
            **more,
        )


class ReportOut(ReportSummary):
    """A report with its evidence: `document` is the score document with its provenance."""

    amended_by: str | None
    slide: Annotated[dict[str, Any], Shown(SlideLabels)]
    seen: Annotated[dict[str, Any], Shown(ReviewExtent)]
    inputs: Annotated[dict[str, Any], Shown(ReportInputs)]
    assay: Annotated[dict[str, Any], Shown(Assay)]
    ish: Annotated[dict[str, Any], Shown(EnteredIsh)] | None
    document: Annotated[dict[str, Any], Shown(ScoreDocument)] | None
