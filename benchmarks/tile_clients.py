"""Clients that ask for tiles: lean enough to cost little beside the servers they measure."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Measured:
    """One turn. seconds: of each answer, from the request's first byte to its own last."""

    wall: float
    seconds: list[float]
    received: int
    cpu_ms: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.wall

    @property
    def kilobytes(self) -> float:
        return self.received / len(self.seconds) / 1000

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, round(len(ordered) * percent / 100))]

    def __str__(self) -> str:
        return (
            f"{self.per_second:.1f} a second, p50 {self.percentile_ms(50):.1f} ms, "
            f"p95 {self.percentile_ms(95):.1f} ms, {self.cpu_ms:.1f} CPU ms"
        )


def drive(port: int, paths: Sequence[str], headers: dict[str, str], clients: int) -> Measured:
    """Ask for all paths, by so many clients at once; any answer but a picture is an error."""
    return asyncio.run(crowd(port, paths, headers, clients))


async def crowd(port: int, paths: Sequence[str], headers: dict[str, str], clients: int) -> Measured:
    waiting = iter(paths)
    measured = Measured(0.0, [], 0)
    own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    begun = time.perf_counter()
    await asyncio.gather(*(client(port, waiting, own, measured) for _ in range(clients)))
    measured.wall = time.perf_counter() - begun
    return measured


async def client(port: int, waiting: object, headers: str, measured: Measured) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in waiting:  # type: ignore[attr-defined]
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n"
        begun = time.perf_counter()
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        body = await reader.readexactly(int(fields["content-length"]))
        measured.seconds.append(time.perf_counter() - begun)
        measured.received += len(body)
        if " 200 " not in lines[0] or fields["content-type"] != "image/jpeg":
            raise RuntimeError(f"{path}: {lines[0]}")
        if fields.get("connection", "").lower() == "close":
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
