"""Commands that speak REST: slides up, over broken lines too, predictions and rounds."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Self

import pytest

from backend import client, wiring
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from models.phantom import PhantomSpec, write
from tests.cli.conftest import Membrana
from tests.support.installation import Installation
from worker.predictors import register_cold_start


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "phantom.tif"
    write(PhantomSpec(width=768, height=512, seed=9), path)
    return path


def listed(remote: Membrana) -> list[list[str]]:
    return [line.split() for line in remote("slides", "list").out.splitlines()]


def test_upload_list_delete(remote: Membrana, slide_file: Path) -> None:
    added = remote("slides", "upload", str(slide_file), "--case-id", "C1")
    assert added.code == 0, added.err
    slide_id, state, name = added.out.split()
    assert (state, name) == ("uploaded", "phantom.tif")
    assert [slide_id, "uploaded", "0", "phantom.tif"] in listed(remote)

    refused = remote("predict", slide_id)
    assert (refused.code, refused.out) == (1, "")
    assert re.search(r"\([a-z_]+\)\n$", refused.err)

    assert remote("slides", "delete", slide_id).code == 0
    assert slide_id not in [line[0] for line in listed(remote)]
    gone = remote("slides", "delete", slide_id)
    assert gone.code == 1
    assert "(slide_not_found)" in gone.err


def test_a_refused_file_stops_no_other(remote: Membrana, slide_file: Path, tmp_path: Path) -> None:
    letter = tmp_path / "letter.svs"
    letter.write_text("Dear colleague, this is no slide.")
    said = remote("slides", "upload", str(letter), str(slide_file))
    assert said.code == 1
    assert said.err.startswith("letter.svs: ")
    assert len(said.out.splitlines()) == 1
    assert "phantom.tif" in said.out
    remote("slides", "delete", said.out.split()[0])


def test_an_upload_goes_on_after_a_broken_line(
    remote: Membrana,
    served: Installation,
    slide_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # other bytes than the other tests': a slide that is known is not made again
    again = tmp_path / "again.tif"
    write(PhantomSpec(width=768, height=512, seed=10), again)
    size = again.stat().st_size
    monkeypatch.setattr(client, "CHUNK", size // 4)
    monkeypatch.setattr(client, "PAUSES", (0.0,) * 5)
    with Cable(served.port, cut_at=[size // 3, size]) as cable:
        monkeypatch.setenv("MEMBRANA_URL", f"http://127.0.0.1:{cable.port}")
        said = remote("slides", "upload", str(again))
    assert said.code == 0, said.err
    assert cable.cuts == 2
    # what was received before a cut is not sent again, but for what was on the way
    assert cable.carried < 2 * size
    assert remote("slides", "delete", said.out.split()[0]).code == 1
    monkeypatch.setenv("MEMBRANA_URL", f"http://127.0.0.1:{served.port}")
    assert remote("slides", "delete", said.out.split()[0]).code == 0


def test_rounds(remote: Membrana) -> None:
    none = remote("rounds", "show")
    assert none.code == 1
    assert "(no_round)" in none.err
    started = remote("rounds", "start")
    assert (started.code, started.out) == (1, "")
    assert started.err.endswith("(too_few_annotations)\n")


def test_no_service_is_a_sentence(remote: Membrana, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MEMBRANA_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        said = remote("slides", "list")
    assert (said.code, said.out) == (1, "")
    assert said.err.endswith("(no_service)\n")


def test_a_wrong_token_is_refused(remote: Membrana, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBRANA_TOKEN", "mbr_nonsense")
    said = remote("slides", "list")
    assert said.code == 1
    assert said.err.count("\n") == 1


class Cable:
    """A line to the service that breaks when it has carried so many bytes, for each number."""

    def __init__(self, port: int, cut_at: list[int]) -> None:
        self.cuts = self.carried = 0
        cable = self

        class Carrier(BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", port)) as far:
                    back = threading.Thread(target=pump, args=(far, self.request))
                    back.start()
                    for piece in pieces(self.request):
                        cable.carried += len(piece)
                        if cut_at and cable.carried >= cut_at[0]:
                            cut_at.pop(0)
                            cable.cuts += 1
                            break
                        far.sendall(piece)
                    for end in (far, self.request):
                        hang_up(end)
                    back.join()

        self.server = ThreadingTCPServer(("127.0.0.1", 0), Carrier)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def pieces(end: socket.socket) -> Iterator[bytes]:
    try:
        while piece := end.recv(16384):
            yield piece
    except OSError:
        return


def pump(source: socket.socket, sink: socket.socket) -> None:
    for piece in pieces(source):
        try:
            sink.sendall(piece)
        except OSError:
            return
    hang_up(sink)


def hang_up(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def test_a_model_that_nobody_has_has_no_card(remote: Membrana) -> None:
    said = remote("models", "card", "none")
    assert (said.code, said.out) == (1, "")
    assert "(model_version_not_found)" in said.err


def test_a_model_versions_card_is_the_services(remote: Membrana, served: Installation) -> None:
    wiring.listen()
    database = Database(f"sqlite:///{served.data / 'membrana.db'}")
    with database.writing() as session:
        register_cold_start(session, Blobs(served.data / "blobs"))
    database.dispose()
    with served.client() as client:
        [version] = client.get("/model-versions").raise_for_status().json()["items"]
    for name in ("cold-start", version["id"]):
        assert json.loads(remote("models", "card", name).out) == version
