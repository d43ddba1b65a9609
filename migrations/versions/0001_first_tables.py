"""first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(length=36), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_created_at", ["created_at"], unique=False)

    op.create_table(
        "jobs",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("requested_by", sa.String(length=36), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'running') = (owner IS NOT NULL AND lease_until IS NOT NULL)",
            name=op.f("ck_jobs_running_has_lease"),
        ),
        sa.CheckConstraint(
            "kind IN ('ingest', 'predict', 'predict_viewport', 'train', 'cleanup')",
            name=op.f("ck_jobs_kind"),
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_state"),
        ),
        sa.CheckConstraint("progress >= 0 AND progress <= 1", name=op.f("ck_jobs_progress")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_jobs_idempotency_key")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("ix_jobs_state", ["state", "lease_until"], unique=False)
        batch_op.create_index(
            "uq_jobs_active",
            ["kind", "subject"],
            unique=True,
            sqlite_where=sa.text("state IN ('queued', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'running')"),
        )

    op.create_table(
        "model_versions",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("weights_sha256", sa.String(length=64), nullable=True),
        sa.Column("parent_id", sa.String(length=36), nullable=True),
        sa.Column("snapshot_sha256", sa.String(length=64), nullable=True),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('cold-start', 'eugmt')", name=op.f("ck_model_versions_kind")),
        sa.CheckConstraint(
            "state IN ('training', 'candidate', 'active', 'retired', 'failed')",
            name=op.f("ck_model_versions_state"),
        ),
        sa.CheckConstraint(
            "state IN ('training', 'failed') OR weights_sha256 IS NOT NULL",
            name=op.f("ck_model_versions_candidate_has_weights"),
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["model_versions.id"], name=op.f("fk_model_versions_parent_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
        sa.UniqueConstraint("name", name=op.f("uq_model_versions_name")),
    )
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.create_index(
            "uq_model_versions_active",
            ["state"],
            unique=True,
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        )

    op.create_table(
        "users",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "role IN ('viewer', 'pathologist', 'admin')", name=op.f("ck_users_role")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "worker_heartbeats",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("queues", sa.String(length=200), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker_heartbeats")),
    )
    op.create_table(
        "api_tokens",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_api_tokens_secret_sha256")),
    )
    op.create_table(
        "audit_entries",
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject_type", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(length=36), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_audit_entries_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.create_index(
            "ix_audit_entries_subject", ["subject_type", "subject_id"], unique=False
        )

    op.create_table(
        "browser_sessions",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("csrf_token", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_browser_sessions_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_browser_sessions")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_browser_sessions_secret_sha256")),
    )
    op.create_table(
        "rounds",
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.String(length=36), nullable=True),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("parent_model_version_id", sa.String(length=36), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=True),
        sa.Column("snapshot_sha256", sa.String(length=64), nullable=True),
        sa.Column("held_out", sa.String(length=16), nullable=True),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'training', 'evaluating', 'promoted', 'kept_back', 'abandoned')",
            name=op.f("ck_rounds_state"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_rounds_job_id")),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_rounds_model_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["parent_model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_rounds_parent_model_version_id"),
        ),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["users.id"], name=op.f("fk_rounds_requested_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rounds")),
    )
    # at most one row of a constant can be unique: one live round
    live = sa.text("state IN ('open', 'training', 'evaluating')")
    op.create_index(
        "uq_rounds_live",
        "rounds",
        [sa.text("(1)")],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )
    op.create_table(
        "sign_in_links",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_sign_in_links_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_links")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_sign_in_links_secret_sha256")),
    )
    op.create_table(
        "slides",
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("byte_size", sa.BigInteger(), nullable=False),
        sa.Column("stain", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.String(length=100), nullable=True),
        sa.Column("created_by", sa.String(length=36), nullable=True),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("vendor", sa.String(length=64), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("mpp", sa.Double(), nullable=True),
        sa.Column("mpp_source", sa.String(length=16), nullable=True),
        sa.Column("objective_power", sa.Double(), nullable=True),
        sa.Column("derived_key", sa.String(length=255), nullable=True),
        sa.Column("white_point", sa.JSON(), nullable=True),
        sa.Column("tissue_fraction", sa.Double(), nullable=True),
        sa.Column("patch_count", sa.Integer(), nullable=False),
        sa.Column("qc", sa.JSON(), nullable=False),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("split", sa.String(length=32), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("split IN ('mixed', 'training', 'gold')", name=op.f("ck_slides_split")),
        sa.CheckConstraint(
            "state IN ('uploaded', 'ingesting', 'needs_mpp', 'ready', 'failed', 'archived')",
            name=op.f("ck_slides_state"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('ready', 'archived') OR "
            "(width IS NOT NULL AND height IS NOT NULL AND mpp IS NOT NULL)",
            name=op.f("ck_slides_ready_is_measured"),
        ),
        sa.CheckConstraint("mpp IS NULL OR (mpp > 0.01 AND mpp < 100)", name=op.f("ck_slides_mpp")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_slides_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slides")),
        sa.UniqueConstraint("sha256", name=op.f("uq_slides_sha256")),
    )
    with op.batch_alter_table("slides", schema=None) as batch_op:
        batch_op.create_index("ix_slides_case_id", ["case_id"], unique=False)

    op.create_table(
        "patches",
        sa.Column("slide_id", sa.String(length=36), nullable=False),
        sa.Column("column", sa.Integer(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("x0", sa.Double(), nullable=False),
        sa.Column("y0", sa.Double(), nullable=False),
        sa.Column("size0", sa.Double(), nullable=False),
        sa.Column("tissue_fraction", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("role", sa.String(length=32), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("lease_user_id", sa.String(length=36), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('training', 'gold')", name=op.f("ck_patches_role")),
        sa.CheckConstraint(
            "state IN ('unreviewed', 'proposed', 'in_annotation', 'annotated', "
            "'returned', 'approved', 'skipped')",
            name=op.f("ck_patches_state"),
        ),
        sa.CheckConstraint(
            "(lease_user_id IS NULL) = (lease_until IS NULL)",
            name=op.f("ck_patches_lease_has_owner_and_end"),
        ),
        sa.ForeignKeyConstraint(
            ["lease_user_id"], ["users.id"], name=op.f("fk_patches_lease_user_id")
        ),
        sa.ForeignKeyConstraint(
            ["slide_id"], ["slides.id"], name=op.f("fk_patches_slide_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patches")),
        sa.UniqueConstraint("id", "role", name=op.f("uq_patches_id_role")),
        sa.UniqueConstraint(
            "slide_id", "row", "column", name=op.f("uq_patches_slide_id_row_column")
        ),
    )
    with op.batch_alter_table("patches", schema=None) as batch_op:
        batch_op.create_index("ix_patches_slide_state", ["slide_id", "state"], unique=False)

    op.create_table(
        "predictions",
        sa.Column("slide_id", sa.String(length=36), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column("shard_count", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_predictions_model_version_id"),
        ),
        sa.ForeignKeyConstraint(
            ["slide_id"], ["slides.id"], name=op.f("fk_predictions_slide_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_predictions")),
        sa.UniqueConstraint(
            "slide_id", "model_version_id", name=op.f("uq_predictions_slide_id_model_version_id")
        ),
    )
    op.create_table(
        "round_curves",
        sa.Column("round_id", sa.String(length=36), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["round_id"], ["rounds.id"], name=op.f("fk_round_curves_round_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("round_id", "step", name=op.f("pk_round_curves")),
    )
    op.create_table(
        "uploads",
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("stain", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.String(length=100), nullable=True),
        sa.Column("mpp", sa.Double(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=36), nullable=False),
        sa.Column("slide_id", sa.String(length=36), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('receiving', 'complete', 'consumed', 'expired')",
            name=op.f("ck_uploads_state"),
        ),
        sa.CheckConstraint(
            "received >= 0 AND received <= length", name=op.f("ck_uploads_received")
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_uploads_created_by")),
        sa.ForeignKeyConstraint(
            ["slide_id"], ["slides.id"], name=op.f("fk_uploads_slide_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_table(
        "annotations",
        sa.Column("patch_id", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("base_revision", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.String(length=36), nullable=False),
        sa.Column("mask_sha256", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("seconds_spent", sa.Double(), nullable=True),
        sa.Column("model_version_id", sa.String(length=36), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "source IN ('proposal', 'edited', 'scratch')", name=op.f("ck_annotations_source")
        ),
        sa.CheckConstraint(
            "revision = base_revision + 1", name=op.f("ck_annotations_follows_its_base")
        ),
        sa.CheckConstraint(
            "seconds_spent IS NULL OR seconds_spent >= 0", name=op.f("ck_annotations_seconds_spent")
        ),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name=op.f("fk_annotations_author_id")),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_annotations_model_version_id"),
        ),
        sa.ForeignKeyConstraint(
            ["patch_id"], ["patches.id"], name=op.f("fk_annotations_patch_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotations")),
        sa.UniqueConstraint("patch_id", "revision", name=op.f("uq_annotations_patch_id_revision")),
    )
    op.create_table(
        "patch_predictions",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("patch_id", sa.String(length=36), nullable=False),
        sa.Column("flagged_fraction", sa.Double(), nullable=False),
        sa.Column("entropy", sa.Double(), nullable=False),
        sa.Column("membrane_fraction", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("descriptor", sa.JSON(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.Column("reason", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["patch_id"],
            ["patches.id"],
            name=op.f("fk_patch_predictions_patch_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.id"],
            name=op.f("fk_patch_predictions_prediction_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("prediction_id", "patch_id", name=op.f("pk_patch_predictions")),
    )
    with op.batch_alter_table("patch_predictions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_patch_predictions_patch_id"), ["patch_id"], unique=False
        )
        batch_op.create_index("ix_patch_predictions_rank", ["prediction_id", "rank"], unique=False)

    op.create_table(
        "prediction_shards",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("column", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.id"],
            name=op.f("fk_prediction_shards_prediction_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "prediction_id", "row", "column", name=op.f("pk_prediction_shards")
        ),
    )
    op.create_table(
        "reviews",
        sa.Column("annotation_id", sa.String(length=36), nullable=False),
        sa.Column("reviewer_id", sa.String(length=36), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("verdict IN ('approved', 'returned')", name=op.f("ck_reviews_verdict")),
        sa.ForeignKeyConstraint(
            ["annotation_id"],
            ["annotations.id"],
            name=op.f("fk_reviews_annotation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["reviewer_id"], ["users.id"], name=op.f("fk_reviews_reviewer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
    )
    op.create_table(
        "round_patches",
        sa.Column("round_id", sa.String(length=36), nullable=False),
        sa.Column("patch_id", sa.String(length=36), nullable=False),
        sa.Column("annotation_id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.CheckConstraint("role IN ('training', 'gold')", name=op.f("ck_round_patches_role")),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name=op.f("fk_round_patches_annotation_id")
        ),
        sa.ForeignKeyConstraint(
            ["patch_id", "role"],
            ["patches.id", "patches.role"],
            name=op.f("fk_round_patches_patch_id_role"),
        ),
        sa.ForeignKeyConstraint(
            ["round_id"], ["rounds.id"], name=op.f("fk_round_patches_round_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("round_id", "patch_id", name=op.f("pk_round_patches")),
    )


def downgrade() -> None:
    op.drop_table("round_patches")
    op.drop_table("reviews")
    op.drop_table("prediction_shards")
    with op.batch_alter_table("patch_predictions", schema=None) as batch_op:
        batch_op.drop_index("ix_patch_predictions_rank")
        batch_op.drop_index(batch_op.f("ix_patch_predictions_patch_id"))

    op.drop_table("patch_predictions")
    op.drop_table("annotations")
    op.drop_table("uploads")
    op.drop_table("round_curves")
    op.drop_table("predictions")
    with op.batch_alter_table("patches", schema=None) as batch_op:
        batch_op.drop_index("ix_patches_slide_state")

    op.drop_table("patches")
    with op.batch_alter_table("slides", schema=None) as batch_op:
        batch_op.drop_index("ix_slides_case_id")

    op.drop_table("slides")
    op.drop_table("sign_in_links")
    op.drop_table("rounds")
    op.drop_table("browser_sessions")
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_entries_subject")

    op.drop_table("audit_entries")
    op.drop_table("api_tokens")
    op.drop_table("worker_heartbeats")
    op.drop_table("users")
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_model_versions_active",
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        )

    op.drop_table("model_versions")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_jobs_active",
            sqlite_where=sa.text("state IN ('queued', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'running')"),
        )
        batch_op.drop_index("ix_jobs_state")

    op.drop_table("jobs")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_created_at")

    op.drop_table("events")
