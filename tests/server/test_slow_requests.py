"""Requests that come slowly, or whose end is ambiguous, over raw sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence

import pytest

from qttrag.server.http_protocol import TimedProtocol
from qttrag.testing import FakeGenerator
from qttrag.types import Message
from tests.server.running import Running, application, running

HEAD = b"POST /v1/ask HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
BODY = b'{"question": "hei"}'


class ImpatientProtocol(TimedProtocol):
    headers_timeout_s = 0.5


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(application(body_timeout=0.5), http=ImpatientProtocol) as up:
        yield up


def connected(up: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(up.url.rsplit(":", 1)[1])), timeout=5)


def read_to_the_end(connection: socket.socket) -> bytes:
    """Return all bytes until the service closes the connection."""
    received = b""
    while part := connection.recv(4096):
        received += part
    return received


@pytest.mark.parametrize("sent", [b"", b"POST /v1/ask HT", b"GET /livez HTTP/1.1\r\nhost: loc"])
def test_headers_that_do_not_come_close_the_connection(service: Running, sent: bytes) -> None:
    started = time.monotonic()
    with connected(service) as connection:
        connection.sendall(sent)
        assert read_to_the_end(connection) == b""
    assert time.monotonic() - started < 3


def test_headers_of_a_second_request_have_to_come_in_time_too(service: Running) -> None:
    with connected(service) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        while not connection.recv(4096).endswith(b"ok"):
            pass
        connection.sendall(b"GET /livez HT")
        assert read_to_the_end(connection) == b""


def test_a_body_that_does_not_come_is_an_error_and_closes_the_connection(service: Running) -> None:
    with connected(service) as connection:
        connection.sendall(HEAD + b"content-length: 50\r\n\r\n{")
        received = read_to_the_end(connection)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"slow_body"' in received.replace(b" ", b"")


def test_a_body_in_pieces_is_read(service: Running) -> None:
    with connected(service) as connection:
        connection.sendall(HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY))
        for byte in BODY:
            connection.sendall(bytes([byte]))
        assert read_to_the_end(connection).startswith(b"HTTP/1.1 200 ")


def test_two_lengths_are_refused(service: Running) -> None:
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    with connected(service) as connection:
        connection.sendall(HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" + chunked)
        received = read_to_the_end(connection)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1


def test_a_reader_that_reads_nothing_does_not_hold_a_slot() -> None:
    def reply(messages: Sequence[Message]) -> str:
        return "lyhyt" if "lyhyt" in messages[-1]["content"] else "sana " * 50_000

    body = b'{"question": "hei", "stream": true}'
    with running(application(FakeGenerator(reply), in_flight=1, queue=1)) as up, connected(up) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        connection.recv(1)
        assert up.ask("lyhyt").json()["answer"] == "lyhyt"
