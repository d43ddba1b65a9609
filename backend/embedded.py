"""`membrana up`: database, broker, API and workers of one machine as one tree of processes."""

import contextlib
import ipaddress
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from backend.client import Client
from backend.kit.db.migrate import upgrade
from backend.kit.db.session import get_database
from backend.kit.errors import Conflict, MembranaError, NoSpace
from backend.people.audit import service as audit
from backend.people.users import service as auth
from backend.pulse import Pulse
from backend.settings import Settings
from backend.slides.patches import installed_grid
from backend.supervision import Tree, say, start

READY_SECONDS = 180.0
LOOK_SECONDS = 0.2
DEMO_SIDE, DEMO_SEED = "4096", "7"


def up(settings: Settings, *, demo: bool) -> None:
    """Run everything until SIGINT or SIGTERM. Raises Conflict if the folder or port is taken."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        (settings.data / "lock").touch()
    except OSError as error:
        raise NoSpace(
            f"The data folder {settings.data} can't be written: {error.strerror}.",
            code="data_folder_not_writable",
        ) from None
    with only_one(settings.data):
        check_port(settings)
        upgrade()
        installed_grid.require_at_start(
            get_database(settings.sqlalchemy_url), settings.analysis_mpp
        )
        audit.require_key_at_start(get_database(settings.sqlalchemy_url))
        with get_database(settings.sqlalchemy_url).writing() as session:
            entrance = auth.first_start(session, settings.admin_password)
            audit.sign_first(session)
        tree = Tree(settings.data / "logs")
        tree.heed_signals()
        slide = DemoSlide(settings) if demo else None
        try:
            watch(tree, settings, entrance, slide)
        finally:
            say("Stopping…")
            if slide is not None:
                slide.abandon()
            tree.stop()
            say(f"Stopped. Everything is kept in {settings.data}.")


def watch(tree: Tree, settings: Settings, entrance: str | None, slide: "DemoSlide | None") -> None:
    """Keep the tree alive until it is asked to stop; say once when it is ready."""
    greeted = warned = False
    begun = time.monotonic()
    pulse = Pulse(tree.api, f"{near(settings)}/api/v1/health/live", settings.silent_seconds)
    while not tree.stopping:
        tree.watch()
        pulse.look()
        if not greeted and ready(settings):
            greeted = True
            say(f"Membrana is ready at {address(settings)} (for research use only).")
            if entrance is not None:
                say(f"Sign in once as admin with {address(settings)}/?sign_in={entrance}")
        if not greeted and not warned and time.monotonic() - begun > READY_SECONDS:
            warned = True
            say(f"Membrana is not ready yet. See the files in {tree.logs}.")
        if greeted and slide is not None:
            slide.advance()
        time.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data folder. The kernel frees it when the process ends, however it ends."""
    try:
        with FileLock(data / "lock", timeout=0):
            yield
    except Timeout:
        raise Conflict(
            f"Another Membrana runs on the data folder {data}. Stop it, or give another folder "
            "with --data.",
            code="data_folder_in_use",
        ) from None


def check_port(settings: Settings) -> None:
    """Raise Conflict if the API could not listen: it would only die again and again."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Conflict(
            f"Membrana can't listen on port {settings.port} of {settings.host} ({reason}). "
            "Choose another with --port.",
            code="port_in_use",
        ) from None


def address(settings: Settings) -> str:
    """Return what people type into a browser."""
    return settings.public_url.rstrip("/") or near(settings)


def near(settings: Settings) -> str:
    """Return how this machine reaches its own service, whatever address it listens on."""
    host = settings.host
    with contextlib.suppress(ValueError):
        listened = ipaddress.ip_address(host)
        if listened.is_unspecified:
            listened = ipaddress.ip_address("127.0.0.1" if listened.version == 4 else "::1")
        host = f"[{listened}]" if listened.version == 6 else str(listened)
    return f"http://{host}:{settings.port}"


def ready(settings: Settings) -> bool:
    with contextlib.suppress(httpx.TransportError):
        url = f"{near(settings)}/api/v1/health/ready"
        return httpx.get(url, timeout=5).status_code == httpx.codes.OK
    return False


@dataclass
class DemoSlide:
    """A synthetic slide for an empty installation, made by a process of its own: the service
    knows no models. It is made while the tree is watched.
    """

    settings: Settings
    maker: subprocess.Popen[bytes] | None = None
    done: bool = False

    @property
    def path(self) -> Path:
        return self.settings.data / "demo-synthetic.tif"

    def advance(self) -> None:
        """Take the next step that is due; a demo that fails is a sentence, not an end."""
        if self.done:
            return
        try:
            if self.maker is None:
                self.begin()
            elif self.maker.poll() is not None:
                self.upload(self.maker.returncode)
        except MembranaError as error:
            say(f"The demo slide is missing: {error.detail}")
            self.abandon()

    def begin(self) -> None:
        with self.client() as client:
            if client.get("/slides", limit=1)["items"]:
                self.done = True
                return
        say("Making a demo slide (synthetic, no patient's tissue)…")
        shape = ["--width", DEMO_SIDE, "--height", DEMO_SIDE, "--seed", DEMO_SEED]
        command = [sys.executable, "-m", "models.phantom", str(self.path), *shape]
        self.maker = start(command, self.settings.data / "logs" / "demo.log")

    def upload(self, returned: int) -> None:
        if returned == 0:
            with self.client() as client:
                client.upload(self.path, case_id="demo")
            say("The demo slide is there; its proposals follow within a minute or two.")
        else:
            say(f"The demo slide could not be made. See {self.settings.data}/logs/demo.log.")
        self.abandon()

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """Act as the first admin, by a token that ends with the work."""
        database = get_database(self.settings.sqlalchemy_url)
        with database.writing() as session:
            admin = auth.first_admin(session)
            if admin is None:
                raise Conflict("There is no admin.", code="no_admin")
            token = auth.create_token(session, admin, name="demo slide")
        try:
            with Client(near(self.settings), token) as client:
                yield client
        finally:
            with database.writing() as session:
                auth.end_token(session, token)

    def abandon(self) -> None:
        """Leave nothing behind: neither the process nor its files."""
        self.done = True
        if self.maker is not None and self.maker.poll() is None:
            self.maker.kill()
            self.maker.wait()
        for file in self.settings.data.glob("demo-synthetic*"):
            file.unlink()
