"""What does another fraud provider do when it is asked? Run it, and it says its port.

A program of its own. The first part of the path says how it behaves; what it was asked last is told
under `/last`.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_VERDICTS: dict[str, Any] = {
    "block": {"verdict": "block", "reason": "Known Bad!", "detail": "seen before", "score": 0.97},
    "fine": {"verdict": "allow", "score": 0.01, "model": "x1", "took_ms": 3},
    "silent": {"verdict": "abstain"},
    "override": {"verdict": "allow_list"},
    "unscored": {"verdict": "review", "score": 7},
    "nan": {"verdict": "review", "reason": "\u0000<b>", "detail": "a\nb" * 300, "score": None},
}
_BODIES = {
    "garbage": b"<html>oops</html>",
    "empty": b"",
    "list": b"[1, 2]",
    "deep": b"[" * 15_000,
    "latin": b'{"verdict": "review", "detail": "\xff\xfe"}',
    "huge": b'{"verdict": "review", "detail": "' + b"x" * 200_000 + b'"}',
}
_LAST: dict[str, Any] = {}


class _Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """What was asked last."""
        self._answer(200, json.dumps(_LAST).encode())

    def do_POST(self) -> None:
        """A verdict, or what a provider may do instead."""
        body = self.rfile.read(int(self.headers["content-length"]))
        _LAST.update(
            path=self.path,
            body=body.decode(),
            headers={name.lower(): value for name, value in self.headers.items()},
        )
        how = self.path.strip("/").split("?")[0]
        if how == "sleep":
            time.sleep(30)
        elif how == "drop":
            self.close_connection = True
            self.connection.close()
        elif how == "moved":
            self.send_response(307)
            self.send_header("location", "/block")
            self.send_header("content-length", "0")
            self.end_headers()
        elif how.isdigit():
            self._answer(int(how), json.dumps(_VERDICTS["block"]).encode())
        else:
            known = _BODIES.get(how)
            self._answer(200, known if known is not None else json.dumps(_VERDICTS[how]).encode())

    def log_message(self, *_: Any) -> None:
        """Nothing is printed but the port."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Provider)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
