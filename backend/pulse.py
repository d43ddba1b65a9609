"""Whether a process still answers: one that runs and says nothing is of no use to anybody."""

import subprocess
import time
from dataclasses import dataclass

import httpx

from backend.supervision import Child, say

ASKED = 6
"""So often it is asked within the patience; all of them must stay without an answer."""


@dataclass
class Pulse:
    """Asks a process for a sign of life. One that gives none is killed: its `Child` starts another.

    address: of its liveness. patience: seconds. One that has never answered is still starting.
    """

    child: Child
    address: str
    patience: float
    process: subprocess.Popen[bytes] | None = None
    has_answered: bool = False
    missed: int = 0
    ask_at: float = 0.0

    def look(self) -> None:
        """Ask if it is time to."""
        if self.child.process is not self.process:
            self.process, self.has_answered, self.missed = self.child.process, False, 0
        if self.process is None or time.monotonic() < self.ask_at:
            return
        pause = self.patience / ASKED
        if answers(self.address, pause):
            self.has_answered, self.missed = True, 0
        elif self.has_answered:
            self.missed += 1
        if self.missed >= ASKED:
            say(
                f"{self.child.name} runs but has not answered for {self.patience:.0f} s; "
                "it is ended, to be started again."
            )
            self.child.kill_session()
            self.missed = 0
        self.ask_at = time.monotonic() + pause


def answers(address: str, patience: float) -> bool:
    """Say whether anything comes back from an address, whatever it is."""
    try:
        # not by way of a proxy that the environment names
        httpx.get(address, timeout=patience, trust_env=False)
    except httpx.HTTPError:
        return False
    return True
