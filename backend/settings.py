"""Everything an installation may choose, read once from `MEMBRANA_*` and handed down as values."""

import os
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

GIB = 1024**3


def hours_by_kind(text: str) -> dict[str, float]:
    """Read `ingest=2,train=300`; raise ValueError."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return {kind.strip(): float(hours) for kind, _, hours in pairs}


def with_password(url: str, password: str) -> str:
    """Return a URL with a password, whatever characters it has; ValueError: the URL has no user."""
    # costs a tenth of a second, which who has no password need not wait for
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(url)
    except ArgumentError:
        address = None
    if address is None or not address.username:
        msg = "the address must name the user whose password it is"
        raise ValueError(msg)
    return address.set(password=password).render_as_string(hide_password=False)


class Settings(BaseSettings):
    """The installation. Derived defaults (database, broker) live inside the data folder."""

    model_config = SettingsConfigDict(env_prefix="MEMBRANA_", frozen=True, extra="ignore")

    secrets: Path | None = Field(
        None,
        description="Folder of files that each hold one setting and are named after it, as "
        "`membrana_admin_password`: what containers are given as secrets. A variable goes first.",
    )
    data: Path = Field(Path("data"), description="Folder that holds everything that must survive.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in the data folder.")
    database_password: str = Field(
        "",
        description="Password for MEMBRANA_DATABASE_URL, as it is: in here no character is quoted.",
    )
    broker_url: str = Field("", description="Celery broker; empty: files in the data folder.")
    broker_password: str = Field("", description="Password for MEMBRANA_BROKER_URL, likewise.")
    host: str = Field("127.0.0.1", description="Address the service listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the service listens on.")
    admin_password: str = Field("", description="Password of `admin` at an unattended first start.")
    idle_minutes: float = Field(
        60, ge=0, description="A browser that nobody uses for this long is signed out; 0: never."
    )
    signing_key: Path | None = Field(
        None,
        description="File of the private key that signs the audit trail and reports; empty: "
        "`signing.pem` in a folder beside the data folder, made at the first start.",
    )
    public_url: str = Field("", description="Address people type, if a proxy stands in front.")
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of the proxies in front, with commas: what they say in "
        "X-Forwarded-For and X-Forwarded-Proto is believed, and of nobody else.",
    )
    webhook_networks: str = Field(
        "",
        description="Addresses or networks inside the house, with commas, that webhooks may go to, "
        "by http as well; to all other private addresses none goes.",
    )
    client_seconds: float = Field(
        30,
        gt=0,
        description="A client that keeps the service waiting this long for a request, for more of "
        "its body or to take the answer is hung up on.",
    )
    silent_seconds: float = Field(
        30,
        gt=0,
        description="`membrana up` starts an API again that does not answer for so long.",
    )

    max_upload_bytes: int = Field(200 * GIB, description="Largest slide file taken.")
    free_space_reserve_bytes: int = Field(2 * GIB, description="Disk space never filled.")
    upload_ttl_hours: int = Field(72, description="An unfinished upload is forgotten after this.")
    max_archive_entries: int = Field(20_000, description="Files allowed in an MRXS/DICOM zip.")
    max_image_pixels: int = Field(
        4_000_000_000, description="Largest plain image (PNG, JPEG, TIFF) converted to a pyramid."
    )

    tile_cache_bytes: int = Field(
        256 * 1024**2,
        ge=0,
        description="Memory for decoded tiles of slides, in each process that reads them.",
    )

    parser_memory_bytes: int = Field(
        4 * GIB,
        ge=256 * 1024**2,
        description="Memory of the process that reads a file or an import for the first time.",
    )
    cpu_processes: int = Field(
        0,
        ge=0,
        description="Processes of the worker `cpu`; all but one of them may read new slides at a "
        "time. 0: one for each four cores, and two at least.",
    )

    analysis_mpp: float = Field(0.25, description="Micrometres per pixel of the analysis grid.")
    min_tissue_fraction: float = Field(0.1, description="Patches with less tissue are not made.")

    lease_seconds: float = Field(60, description="A job whose worker is silent this long is free.")
    heartbeat_seconds: float = Field(20, description="How often a worker renews its lease.")
    reaper_seconds: float = Field(10, description="How often each worker looks for lost jobs.")
    ring_again_seconds: float = Field(60, description="Queued jobs older than this ring again.")
    max_attempts: int = Field(3, description="Tries of one job before it fails.")
    job_hours: str = Field(
        "",
        description="Longest try of a kind of job, in hours, where not its own: ingest=2,train=300",
    )
    patch_lease_minutes: float = Field(15, description="A patch in a person's hands stays theirs.")

    first_model: Literal["starter", "cold-start"] = Field(
        "starter",
        description="What proposes in a new installation: starter, the trained network that the "
        "package brings, or cold-start, the stain rule. The other one can be activated.",
    )
    round_annotations: int = Field(
        10, description="New annotated patches that start a round; 0: only on request."
    )
    gold_patches: int = Field(
        5,
        ge=3,
        description="Held-out masks that a round's verdict needs; with fewer it is `not_judged`. "
        "A model that is no better than another wins on all of 5 patches once in 32 times, on all "
        "of 4 once in 16: with fewer than 5 no outcome is too rare to be chance (1 in 20).",
    )
    preset: str = Field("eugmt-plus", description="Training preset of a round.")
    architecture: str = Field(
        "",
        description="Network: unet-small, unet-small-features, unet or deeplabv3plus; empty: the "
        "preset's own.",
    )
    encoder: str = Field("", description="Encoder name (segmentation-models-pytorch or timm).")
    encoder_weights: str = Field(
        "scratch",
        description="File of pretrained encoder weights, folder of such files named after their "
        "encoders, or a word: `scratch`; `imagenet`, those that an installed package brings.",
    )
    round_iterations: int = Field(0, description="Training steps of a round; 0: the preset's own.")
    round_unlabelled: int = Field(200, description="Unlabelled patches drawn for a round.")
    round_seed: int = Field(0, description="Seed of a round's snapshot, training and selection.")
    checkpoint_steps: int = Field(25, description="Training steps between two checkpoints.")
    audit_folds: int = Field(
        3, ge=2, description="Networks of an audit of masks; each judges what it never learned."
    )
    nucleus_detector: str = Field(
        "",
        description="What finds nuclei; empty: the network that comes with Membrana; `log`: the "
        "rule without weights; else file or folder of a learned detector.",
    )
    threads: int = Field(
        0,
        description="CPU threads of one worker's network; 0: one where a round trains the small "
        "network, to which more are no use, else the library's choice.",
    )
    doubt: Literal["entropy", "selector"] = Field(
        "entropy",
        description="What marks the areas worth a look and orders the queue: the networks' "
        "entropy, or the paper's selector, which trained students leave with next to nothing.",
    )
    inference_backend: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="What predicts: torch, openvino, or auto: what was measured quicker."
    )
    inference_views: Literal["once", "flips", "square"] = Field(
        "once", description="Average over mirrored views: flips, 4 times the work; square, 8 times."
    )
    inference_precision: Literal["f32", "mixed", "int8"] = Field(
        "f32",
        description="Of networks on OpenVINO: f32; mixed, the second opinions in eight bits; or "
        "int8, the masks too: quicker, and other masks. The log says what it costs.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        folder = os.environ.get("MEMBRANA_SECRETS")
        if not folder or not Path(folder).is_dir():
            return init_settings, env_settings
        files = SecretsSettingsSource(settings_cls, secrets_dir=folder)
        return init_settings, env_settings, files

    @field_validator("secrets", mode="before")
    @classmethod
    def folder_of_secrets(cls, value: str | Path | None) -> str | Path | None:
        if value and not Path(value).is_dir():
            msg = f"there is no folder {value}"
            raise ValueError(msg)
        return value or None

    @field_validator("database_password", "broker_password")
    @classmethod
    def has_an_address(cls, value: str, info: ValidationInfo) -> str:
        if value:
            with_password(info.data[str(info.field_name).replace("password", "url")], value)
        return value

    @field_validator("trusted_proxies", "webhook_networks")
    @classmethod
    def addresses(cls, value: str) -> str:
        for each in filter(None, map(str.strip, value.split(","))):
            # raises ValueError: a misspelt proxy would be one that nobody believes
            ip_network(each)
        return value

    @field_validator("job_hours")
    @classmethod
    def known_kinds(cls, value: str) -> str:
        from backend.job_kinds import JobKind

        hours = hours_by_kind(value)
        if strange := set(hours) - set(JobKind):
            msg = f"{min(strange)} is no kind of job; there are {', '.join(JobKind)}"
            raise ValueError(msg)
        if not all(0 < each < float("inf") for each in hours.values()):
            msg = "hours are numbers above 0"
            raise ValueError(msg)
        return value

    @field_validator("inference_precision")
    @classmethod
    def eight_bits_are_openvinos(cls, value: str, info: ValidationInfo) -> str:
        if value != "f32" and info.data.get("inference_backend") == "torch":
            msg = f"{value} is OpenVINO's, and MEMBRANA_INFERENCE_BACKEND is torch"
            raise ValueError(msg)
        return value

    @property
    def job_hours_by_kind(self) -> dict[str, float]:
        return hours_by_kind(self.job_hours)

    @property
    def networks_of_webhooks(self) -> list[IPv4Network | IPv6Network]:
        return [
            ip_network(each.strip()) for each in self.webhook_networks.split(",") if each.strip()
        ]

    @property
    def sqlalchemy_url(self) -> str:
        if not self.database_url:
            return f"sqlite:///{self.data.resolve() / 'membrana.db'}"
        if not self.database_password:
            return self.database_url
        return with_password(self.database_url, self.database_password)

    @property
    def processes_of_cpu(self) -> int:
        # two on two cores as well: a new slide takes minutes, and a report that somebody waits for
        # must not stand behind it; a process that waits takes memory, but no core
        return self.cpu_processes or max(2, (os.cpu_count() or 1) // 4)

    @property
    def signing_key_file(self) -> Path:
        """Never inside the data folder: who has a copy of that, has not the key."""
        data = self.data.resolve()
        return self.signing_key or data.with_name(f"{data.name}.keys") / "signing.pem"

    @property
    def celery_broker(self) -> str:
        if self.broker_password:
            return with_password(self.broker_url, self.broker_password)
        return self.broker_url or "filesystem://"

    @property
    def broker_folder(self) -> Path:
        return self.data / "broker"

    @property
    def message_folder(self) -> Path:
        return self.broker_folder / "messages"

    @property
    def blob_folder(self) -> Path:
        return self.data / "blobs"

    @property
    def upload_folder(self) -> Path:
        return self.data / "uploads"

    @property
    def pyramid_folder(self) -> Path:
        return self.data / "pyramids"

    @property
    def slide_folder(self) -> Path:
        """Unpacked archives and pyramids made at ingest: can be rebuilt from the blobs."""
        return self.data / "slides"

    @property
    def training_folder(self) -> Path:
        return self.data / "training"

    @property
    def audit_folder(self) -> Path:
        return self.data / "audits"


@lru_cache
def get_settings() -> Settings:
    return Settings()
