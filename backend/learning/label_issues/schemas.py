"""Label issues as the contract shows them. `box` is level-0 px, `within_patch` px of the patch."""

from datetime import datetime

from pydantic import BaseModel

from backend.jobs.schemas import JobOut
from backend.learning.annotations.schemas import Author
from backend.learning.label_issues.service import IssueView, Overview, area_um2, text_of
from backend.learning.label_issues.tables import IssueKind
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.tables import PatchRole, PatchState


class Box0(BaseModel):
    x: float
    y: float
    width: float
    height: float


class WithinPatch(BaseModel):
    row: int
    column: int
    height: int
    width: int


class IssuePatch(BaseModel):
    id: str
    slide_id: str
    x: float
    y: float
    size: float
    state: PatchState
    role: PatchRole | None


class JudgedAnnotation(BaseModel):
    """The revision that was judged, and the share of its pixels that is doubtful."""

    id: str
    revision: int
    author: Author
    created_at: datetime
    mask_sha256: str
    doubtful_fraction: float


class IssueOut(BaseModel):
    """Rank 1 is the worst; score: the mean probability that the drawn label is wrong."""

    id: str
    audit_id: str
    rank: int
    kind: IssueKind
    text: str
    score: float
    size_px: int
    area_um2: float
    box: Box0
    within_patch: WithinPatch
    pixels: str
    patch: IssuePatch
    annotation: JudgedAnnotation
    weights_sha256: str

    @classmethod
    def of(cls, view: IssueView) -> "IssueOut":
        issue, patch, annotation = view.issue, view.patch, view.annotation
        px0 = patch.size0 / PATCH_PX
        return cls(
            id=issue.id,
            audit_id=issue.audit_id,
            rank=issue.rank,
            kind=issue.kind,
            text=text_of(view),
            score=issue.score,
            size_px=issue.size_px,
            area_um2=area_um2(view),
            box=Box0(
                x=patch.x0 + issue.column * px0,
                y=patch.y0 + issue.row * px0,
                width=issue.width * px0,
                height=issue.height * px0,
            ),
            within_patch=WithinPatch(
                row=issue.row, column=issue.column, height=issue.height, width=issue.width
            ),
            pixels=f"/api/v1/label-issues/{issue.id}/pixels.png",
            patch=IssuePatch(
                id=patch.id,
                slide_id=patch.slide_id,
                x=patch.x0,
                y=patch.y0,
                size=patch.size0,
                state=patch.state,
                role=patch.role,
            ),
            annotation=JudgedAnnotation(
                id=annotation.id,
                revision=annotation.revision,
                author=Author(id=annotation.author.id, username=annotation.author.name),
                created_at=annotation.created_at,
                mask_sha256=annotation.mask_sha256,
                doubtful_fraction=view.judgement.doubtful_px / max(1, view.judgement.judged_px),
            ),
            weights_sha256=view.judgement.weights_sha256,
        )


class AuditOut(BaseModel):
    """What was judged. `held_out`: by networks that never saw the slide, or the patch only."""

    id: str
    created_at: datetime
    finished_at: datetime | None
    requested_by: str | None
    snapshot_sha256: str
    held_out: str | None
    judged: int
    open_issues: int


class IssueList(BaseModel):
    """A page, worst first; the audit it comes from; and what has happened since."""

    items: list[IssueOut]
    next_cursor: str | None
    audit: AuditOut | None
    not_judged: int
    job: JobOut | None

    @classmethod
    def of(cls, views: list[IssueView], cursor: str | None, overview: Overview) -> "IssueList":
        audit = overview.audit
        return cls(
            items=[IssueOut.of(view) for view in views],
            next_cursor=cursor,
            audit=audit
            and AuditOut(
                id=audit.id,
                created_at=audit.created_at,
                finished_at=audit.finished_at,
                requested_by=audit.requested_by,
                snapshot_sha256=audit.snapshot_sha256,
                held_out=audit.held_out,
                judged=overview.judged,
                open_issues=overview.open_issues,
            ),
            not_judged=overview.not_judged,
            job=JobOut.model_validate(overview.job) if overview.job else None,
        )
