"""The embedded broker: kombu's folder of messages, in which nobody meets half of one.

kombu writes a message under the name that others look for: who looks too early, or after a disk
was full, takes an empty file, and what it raises ends the worker. Here a message appears whole, and
one that is no message all the same is put aside with a word.
"""

# mypy: disable-error-code="no-untyped-call"

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from filelock import FileLock
from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.transport.filesystem import exchange_queue_t
from kombu.utils.json import dumps, loads
from uuid_utils import uuid7

from backend.kit.storage.whole_files import whole_file

log = logging.getLogger(__name__)
HIDDEN = ".taken-"
"""Begins the name of what somebody writes, or has taken and reads."""
PARTS = {"body", "headers", "properties"}


class NoMessage(ValueError):
    """A file that is not what was sent."""


def put_whole(file: Path, content: Any) -> None:
    """Write a file that appears whole or not at all; raise ChannelError."""
    try:
        # a bell that a power cut takes away is rung again
        with whole_file(file, prefix=HIDDEN, lasting=False) as draft:
            draft.write(dumps(content).encode())
    except OSError as error:
        raise ChannelError(f"A message can't be written: {error.strerror}.") from error


def message_in(content: bytes) -> dict[str, Any]:
    """Return what was sent; raise NoMessage if it can't be what a sender wrote."""
    try:
        message = loads(content.decode())
    except ValueError as error:
        raise NoMessage(str(error)) from None
    if not isinstance(message, dict) or not message.keys() >= PARTS:
        raise NoMessage("it has not the parts of a message")
    if "delivery_tag" not in (message["properties"] or {}):
        raise NoMessage("it says not how it is to be delivered")
    return message


class Channel(filesystem.Channel):  # type: ignore[misc]
    """Messages are files `<time-ordered id>.<queue>.msg`; the oldest is taken first."""

    # kombu names it otherwise in each of its two classes; it passes it by place
    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override]
        put_whole(Path(self.data_folder_out) / f"{uuid7()}.{queue}.msg", message)

    def _get(self, queue: Any, timeout: Any = None) -> dict[str, Any]:
        """Take the oldest message of a queue, which no other worker gets then; raise Empty."""
        folder = Path(self.data_folder_in)
        for name in sorted(each.name for each in folder.iterdir()):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = folder / (HIDDEN + name)
            try:
                (folder / name).rename(taken)
                content = taken.read_bytes()
            except FileNotFoundError:
                # another worker was quicker
                continue
            taken.unlink(missing_ok=True)
            try:
                return message_in(content)
            except NoMessage as error:
                log.warning("a message of queue %s is left out: %s", queue, error)
        raise Empty

    def get_table(self, exchange: str) -> Sequence[Any]:
        """Return the queues of an exchange; a table that can't be read is written anew."""
        file: Path = self._exchange_file(exchange)
        try:
            return [exchange_queue_t(*each) for each in loads(file.read_bytes().decode())]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
            log.warning("the broker's table %s can't be read: %s", file.name, error)
            return []

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        bound = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._alone():
            table = self.get_table(exchange)
            if bound not in table:
                put_whole(self._exchange_file(exchange), [bound, *table])

    def _delete(
        self, queue: str, exchange: str, routing_key: str, pattern: str, *_: Any, **__: Any
    ) -> None:
        self._purge(queue)
        gone = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._alone():
            table = self.get_table(exchange)
            if gone in table:
                left = [each for each in table if each != gone]
                put_whole(self._exchange_file(exchange), left)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Have the tables to oneself."""
        with FileLock(self.control_folder / ".lock"):
            yield


class Transport(filesystem.Transport):  # type: ignore[misc]
    Channel = Channel
