"""Logs of a process that goes on writing stay below their size."""

import subprocess
import sys

from backend.supervision import rotate, start


def test_a_log_is_put_aside_while_its_process_writes(tmp_path):
    log = tmp_path / "api.log"
    log.write_bytes(b"old\n" * 100)
    rotate(log, largest=400)
    assert log.stat().st_size == 400
    writer = "import time; print('first', flush=True); input(); print('second')"
    with log.open("ab") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", writer], stdin=subprocess.PIPE, stdout=written
        )
    while b"first\n" not in log.read_bytes():
        assert process.poll() is None
    rotate(log, largest=400)
    process.communicate(b"go on\n")
    assert log.read_bytes() == b"second\n"
    assert (tmp_path / "api.log.1").read_bytes() == b"old\n" * 100 + b"first\n"


def test_what_is_started_appends(tmp_path):
    log = tmp_path / "api.log"
    log.write_bytes(b"before\n")
    assert start([sys.executable, "-c", "print('after')"], log).wait() == 0
    assert log.read_bytes() == b"before\nafter\n"
