"""A storefront of another origin than the service: its pages have the strictest policy that lets the tag in."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STYLE = """
body { margin: 0; }
[data-banner-slot] { overflow: hidden; }
[data-banner-slot=home_top] { aspect-ratio: 1200 / 300; }
[data-banner-slot=category_side] { width: 300px; aspect-ratio: 300 / 600; }
.far { height: 3000px; }
"""
POLICY = "default-src 'none'; style-src 'self'; script-src 'self' {0}; connect-src 'self' {0}; img-src data: {0}"


class Storefront(ThreadingHTTPServer):
    """Serves what a test puts into `pages`; POST is never answered before `release` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.service_url = ""
        self.release = threading.Event()
        self.pages: dict[str, str] = {"/style.css": STYLE}

    def put(self, body: str, *, tag: str, head: str = "") -> str:
        """A page with this body and script tag; its address."""
        link = '<link rel="stylesheet" href="/style.css"><link rel="icon" href="data:,">'
        self.pages["/"] = f"<!doctype html><html lang=en><title>Shop</title>{link}{head}{tag}<body>{body}</body></html>"
        return self.url + "/"


@contextmanager
def running(service_url: str) -> Iterator[Storefront]:
    """A storefront that uses the service."""
    server = Storefront()
    server.service_url = service_url
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Storefront

    def do_GET(self) -> None:
        body = self.server.pages.get(self.path)
        if body is None:
            self.send_error(404)
            return
        kind = {"css": "text/css", "js": "text/javascript"}.get(self.path.rpartition(".")[2], "text/html")
        self._answer(kind, body.encode())

    def do_POST(self) -> None:
        self.server.release.wait()
        self._answer("application/json", b'{"results": [{"status": 204}]}')

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY.format(self.server.service_url))
        self.end_headers()
        self.wfile.write(body)
