"""A web server in a thread, for what is downloaded."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Site:
    """Pages by path, and the paths that were asked for.

    Attributes:
        url: The server's address.
        pages: What it serves: bytes, or a status.
        short: By how many bytes its answers end too early.
        asked: Paths, in the order of requests.
    """

    def __init__(self) -> None:
        self.url = ""
        self.pages: dict[str, bytes | int] = {}
        self.short = 0
        self.asked: list[str] = []


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            page = site.pages.get(self.path.partition("?")[0], 404)
            if isinstance(page, int):
                self.send_error(page)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page[: len(page) - site.short])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
