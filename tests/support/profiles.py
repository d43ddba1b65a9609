"""Colour profiles made by hand: primaries and a gamma, as the ICC's matrix profiles have them."""

import struct

SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
D50 = (0.9642, 1.0, 0.8249)


def fixed(values: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def profile(primaries: tuple[tuple[float, ...], ...] = SRGB, gamma: float = 2.2) -> bytes:
    """Return an RGB profile: XYZ of red, green and blue, and one exponent."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    name = b"by hand\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    tags = [(b"desc", described), (b"cprt", b"text" + bytes(4) + b"none\0")]
    tags += [(b"wtpt", b"XYZ " + bytes(4) + fixed(D50))]
    for letter, xyz in zip(b"rgb", primaries, strict=True):
        tags += [(bytes([letter]) + b"XYZ", b"XYZ " + bytes(4) + fixed(xyz))]
        tags += [(bytes([letter]) + b"TRC", curve)]
    start = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for tag, content in tags:
        table += tag + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I", 128 + len(table) + len(data)) + b"lcms" + struct.pack(">I", 0x2100000)
    head += b"mntrRGB XYZ " + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    return (head + fixed(D50)).ljust(128, b"\0") + table + data
