"""Serve the demo and open its page in the browser; Ctrl-C, or ending this process, stops the service.

python -m demo.page [PORT]    needs the demo's collections (make demo builds them)
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser

_PORT = "8080"
_PAUSE = 0.5  # seconds


def main() -> int:
    port = sys.argv[1] if len(sys.argv) > 1 else _PORT
    url = f"http://127.0.0.1:{port}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the service would go on alone
    command = [sys.executable, "-m", "qttrag", "serve", "-c", "demo", "--port", port]
    with subprocess.Popen(command) as server:
        try:
            while server.poll() is None and not _answers(url):
                time.sleep(_PAUSE)
            if server.poll() is None:
                show(url)
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            return 0


def show(url: str) -> None:
    """Open a page in the user's browser, or print its address where there is none."""
    if not webbrowser.open(url):
        print(f"no browser could be opened; the page is at {url}", flush=True)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url) as page:
            return bool(page.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


if __name__ == "__main__":
    sys.exit(main())
