"""Connections with an end: whoever keeps the service waiting, on purpose or not, is hung up on.

Without it a connection that never sends its request, sends it byte by byte, or never reads its
answer stays as long as its other end likes, and each holds a socket, a buffer and perhaps a thread.
"""

import asyncio
import resource
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 2000
"""Connections of one process; of more, the one that has waited longest without a request goes."""
SLOWEST = 512
"""Bytes a second: what comes or is taken slower than this, over the whole of the patience, is a
client that holds a place and not a slow line."""
LOOKS = 4
"""So often a connection is looked at within the patience."""
KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Seconds, seconds, times: when the kernel finds out that nobody is there any more."""


def raise_file_limit() -> None:
    """Take as many open files as this process may have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class BoundedConnection(H11Protocol):
    """An HTTP/1.1 connection that is closed when its client moves nothing.

    The patience is `MEMBRANA_CLIENT_SECONDS`: for the head of a request from its first byte on (or
    from the connection's beginning), for each stretch of a body that is awaited, and for each
    stretch of an answer that is ready. A request that is being worked on is not hurried by this.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.patience: float = self.config.app.state.settings.client_seconds  # type: ignore[union-attr]
        self.since = 0.0
        """When it was last known that the client does its part."""
        self.received = 0
        """Bytes since then."""
        self.look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        notice_absence(transport.get_extra_info("socket"))
        self._begin_anew()
        self._look_later()
        if len(self.connections) > MOST:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.look is not None:
            self.look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            # the first bytes of another request
            self._begin_anew()
        self.received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._begin_anew()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._begin_anew()
        super().pause_writing()

    @property
    def awaits_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _begin_anew(self) -> None:
        self.since, self.received = self.loop.time(), 0

    def _look_later(self) -> None:
        self.look = self.loop.call_later(self.patience / LOOKS, self._look)

    def _look(self) -> None:
        """Hang up if the client had its time and did not do its part; look again otherwise."""
        if self.transport.is_closing() and not self.flow.write_paused:
            return
        waited = self.loop.time() - self.since
        if waited > self.patience and self._is_spent(waited):
            # not `close`, which waits until all that was written is taken
            self.transport.abort()
            return
        self._look_later()

    def _is_spent(self, waited: float) -> bool:
        """Say whether it is the client that is waited for; else its time begins anew."""
        if self.flow.write_paused:
            return True
        if self.awaits_head:
            # between two requests the server's own, longer time counts
            return self.timeout_keep_alive_task is None
        moves = self.received >= SLOWEST * waited
        ours = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if not self.cycle.more_body or moves or ours:
            self._begin_anew()
            return False
        return True

    def _make_room(self) -> None:
        others = [
            each
            for each in self.connections
            if isinstance(each, BoundedConnection) and each is not self and each.awaits_head
        ]
        if others:
            min(others, key=lambda each: each.since).transport.abort()


def notice_absence(connection: socket.socket | None) -> None:
    """Have the kernel ask now and then whether the other end still exists."""
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
