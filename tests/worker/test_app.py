"""The Celery application as its processes set it up."""

import json
import os
import subprocess
import sys
from pathlib import Path

SET_UP = """
import logging
from worker.app import app

# what the worker's parent and each process of its pool do first
app.log.setup(loglevel=logging.WARNING, redirect_stdouts=True)
logging.getLogger("worker.run").warning("job %s failed: %s", "1", "slide_not_found")
logging.getLogger("worker.run").info("not at this level")
try:
    raise OSError("the disk")
except OSError:
    logging.getLogger("celery.worker").exception("it stumbled")
"""


def test_workers_log_one_json_object_a_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SET_UP],
        env={**os.environ, "MEMBRANA_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["job 1 failed: slide_not_found", "it stumbled"]
    assert lines[0]["level"] == "warning"
    assert lines[0]["logger"] == "worker.run"
    assert "OSError: the disk" in lines[1]["exception"]
