"""A web server on this machine for tests of downloads: honest when asked to be, and otherwise as bad as they come."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Answer"], None]


class Answer(BaseHTTPRequestHandler):
    """One request; behaviours call these methods."""

    protocol_version = "HTTP/1.1"
    server: Web

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        behaviours = self.server.pages.get(self.path.partition("?")[0])
        if behaviours is None:
            self.reply(404, b"no such page")
            return
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        with contextlib.suppress(ConnectionError):
            behaviour(self)

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def reply(self, status: int, content: bytes, length: int | None = None, **headers: str) -> None:
        """A whole answer; ``length`` is what it claims to be long."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
            self.wfile.flush()
        if length is not None:
            self.close_connection = True

    def asked_start(self) -> int:
        """Where the asked range begins; 0 where none is asked."""
        asked = self.headers.get("Range", "")
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0


class Web(ThreadingHTTPServer):
    """``pages``: path to what happens at the first, second, … request; the last one stays."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.pages: dict[str, list[Behaviour]] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.over = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def ranges(self) -> list[str | None]:
        """The ``Range`` of every request so far."""
        return [headers.get("Range") for _, _, headers in self.seen]


@contextlib.contextmanager
def serving() -> Iterator[Web]:
    """A server, for as long as the ``with`` block lasts."""
    web = Web()
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.over.set()
        web.shutdown()
        web.server_close()
        thread.join()


# --- behaviours ---


def honest(content: bytes, etag: str | None = '"one"', **headers: str) -> Behaviour:
    """The content, or the part that is asked for."""

    def behave(answer: Answer) -> None:
        start = answer.asked_start()
        marks = {**headers, **({"ETag": etag} if etag else {})}
        if start >= len(content) > 0:
            answer.reply(416, b"")
        elif start and answer.headers.get("If-Range", etag) == etag:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            answer.reply(206, content[start:], Content_Range=span, **marks)
        else:
            answer.reply(200, content, **marks)

    return behave


def ignoring_ranges(content: bytes) -> Behaviour:
    return lambda answer: answer.reply(200, content, ETag='"one"')


def breaking_off(content: bytes, after: int, etag: str | None = '"one"') -> Behaviour:
    """Announces all, sends ``after`` bytes from where it was asked, and hangs up."""

    def behave(answer: Answer) -> None:
        start = answer.asked_start()
        marks = {"ETag": etag} if etag else {}
        if start:
            marks["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        answer.reply(206 if start else 200, content[start : start + after], len(content) - start, **marks)

    return behave


def claiming(content: bytes, length: int) -> Behaviour:
    """Says that the content is so long."""
    return lambda answer: answer.reply(200, content, length)


def chunked(content: bytes, complete: bool = True) -> Behaviour:
    """Says nothing of the length; ``complete``: with the mark of the end."""

    def behave(answer: Answer) -> None:
        answer.send_response(200)
        answer.send_header("Transfer-Encoding", "chunked")
        answer.end_headers()
        answer.wfile.write(b"%x\r\n%s\r\n" % (len(content), content) + (b"0\r\n\r\n" if complete else b""))
        answer.close_connection = True

    return behave


def stalling(content: bytes, after: int) -> Behaviour:
    """Sends ``after`` bytes and then nothing more, without hanging up."""

    def behave(answer: Answer) -> None:
        answer.send_response(200)
        answer.send_header("Content-Length", str(len(content)))
        answer.send_header("ETag", '"one"')
        answer.end_headers()
        answer.wfile.write(content[:after])
        answer.wfile.flush()
        answer.server.over.wait(30)

    return behave


def redirecting(target: str, status: int = 302) -> Behaviour:
    return lambda answer: answer.reply(status, b"", Location=target)


def refusing(status: int, **headers: str) -> Behaviour:
    return lambda answer: answer.reply(status, b"no", **headers)


def hanging_up(answer: Answer) -> None:
    """No answer at all."""
    answer.close_connection = True


def with_token(token: str, behaviour: Behaviour) -> Behaviour:
    """401 without the token, 403 with another."""

    def behave(answer: Answer) -> None:
        given = answer.headers.get("Authorization")
        if given is None:
            answer.reply(401, b"")
        elif given != f"Bearer {token}":
            answer.reply(403, b"")
        else:
            behaviour(answer)

    return behave
