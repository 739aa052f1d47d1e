"""A hub on loopback with the few routes of the Hugging Face hub that downloads of a snapshot or a dataset's file call.
A dataset is pushed as "datasets/NAMESPACE/NAME"."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

_MODEL = r"(?P<model>(datasets/)?[^/]+/[^/]+)"
_INFO = re.compile(rf"/api/models/{_MODEL}(/revision/(?P<revision>.+))?")
_TREE = re.compile(rf"/api/models/{_MODEL}/tree/(?P<revision>.+)")
_FILE = re.compile(rf"/{_MODEL}/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


class _Reply(NamedTuple):
    body: bytes
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012


class Hub:
    """Serves folders as repositories. `asked`: the requested paths, without queries.

    `gated`: models whose files are refused. `claimed`: reported sizes of files instead of the real ones. `stalls`: the
    name of a file that is sent only in part; `stalled` is set when a client waits for its rest."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gated: set[str] = set()
        self.claimed: dict[str, int] = {}
        self.stalls = ""
        self.stalled = threading.Event()
        self._commits: dict[str, dict[str, Path]] = {}
        self._refs: dict[tuple[str, str], str] = {}
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer(send_body=False)

            def do_GET(self) -> None:
                self._answer(send_body=True)

            def _answer(self, *, send_body: bool) -> None:
                path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
                outer.asked.append(path)
                reply = outer._reply(path)
                self.send_response(reply.status)
                self.send_header("content-length", str(len(reply.body)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if send_body and outer.stalls and path.endswith(outer.stalls):
                    self.wfile.write(reply.body[: len(reply.body) // 2])
                    outer.stalled.set()
                    outer._closing.wait(60)
                elif send_body:
                    self.wfile.write(reply.body)

            def log_message(self, *args: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def push(self, model: str, folder: Path, revision: str = "main") -> str:
        """Publish the files of `folder` as `revision` of a model; return the commit."""
        commits = self._commits.setdefault(model, {})
        commit = hashlib.sha1(f"{model}:{len(commits)}".encode()).hexdigest()
        commits[commit] = folder
        self._refs[model, revision] = commit
        return commit

    def files_asked(self) -> list[str]:
        """Return the names of the requested files, sorted, without repeats."""
        matches = (_FILE.fullmatch(path) for path in self.asked)
        return sorted({match["name"] for match in matches if match})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _reply(self, path: str) -> _Reply:
        match = _TREE.fullmatch(path) or _FILE.fullmatch(path) or _INFO.fullmatch(path)
        if match is None or match["model"] not in self._commits:
            return _Reply(b"", 404, {"X-Error-Code": "RepoNotFound"})
        model, revision = match["model"], match["revision"] or "main"
        commit = revision if revision in self._commits[model] else self._refs.get((model, revision))
        if commit is None:
            return _Reply(b"", 404, {"X-Error-Code": "RevisionNotFound"})
        folder = self._commits[model][commit]
        if match.re is _FILE:
            return self._file(model, commit, folder / match["name"])
        names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
        sizes = {name: self.claimed.get(name, (folder / name).stat().st_size) for name in names}
        if match.re is _TREE:
            return _json([{"type": "file", "path": name, "size": sizes[name], "oid": "0" * 40} for name in names])
        siblings = [{"rfilename": name, "size": sizes[name]} for name in names]
        return _json({"id": model, "sha": commit, "siblings": siblings})

    def _file(self, model: str, commit: str, file: Path) -> _Reply:
        if model in self.gated:
            return _Reply(b"", 403, {"X-Error-Code": "GatedRepo"})
        content = file.read_bytes()
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        return _Reply(content, headers={"ETag": etag, "X-Repo-Commit": commit})


def _json(value: Any) -> _Reply:
    return _Reply(json.dumps(value).encode(), headers={"content-type": "application/json"})
