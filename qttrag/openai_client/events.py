"""Server-sent events, as bytes: line ends inside the data are only those of the protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator


async def event_data(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the data of each event. The last one needs no empty line after it, unless it looks incomplete."""
    buffer, data = b"", list[bytes]()
    async for part in parts:
        *lines, buffer = (buffer + part).split(b"\n")
        for line in lines:
            if event := _add(line, data):
                yield event
    _add(buffer, data)
    if (last := b"\n".join(data).rstrip()).endswith((b"}", b"]")):
        yield last


def _add(line: bytes, data: list[bytes]) -> bytes:
    """Add a line to the data of the current event; return the data if the line ends the event."""
    line = line.rstrip(b"\r")
    if line.startswith(b"data:"):
        data.append(line.removeprefix(b"data:").removeprefix(b" "))
    elif not line and data:
        event = b"\n".join(data)
        data.clear()
        return event
    return b""
