"""`qttrag serve`: the service and its page."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qttrag.cli import local_socket, output
from qttrag.errors import CollectionError, ConfigError
from qttrag.resources import DEFAULT_DEPLOYMENT
from qttrag.server import tracing

if TYPE_CHECKING:
    from qttrag.application.application import Application
    from qttrag.config.deployment import Deployment
    from qttrag.config.server_settings import ServerSettings
    from qttrag.protocols import VectorStore

_LARGEST_PORT = 65_535
_BACKLOG = 2048  # connections that wait to be accepted


def serve(
    config: output.Config = DEFAULT_DEPLOYMENT,
    host: Annotated[str | None, typer.Option(help="Address to listen at (default: `server.host`).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at (default: `server.port`); 0: any.")] = None,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Serve without API keys, also at an address that others can reach.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check the deployment, open its collections and exit; no model is loaded.")
    ] = False,
    settings: output.Set = None,
) -> None:
    """Serve the HTTP API and the page.

    Clients need one of the keys in QTTRAG_API_KEYS (separated by commas), or in QTTRAG_WRITE_API_KEYS, with which they
    may also change documents. Without keys only loopback addresses are served, and `qttrag ask` of the same user and
    settings is answered here, too.
    Traces go to OTEL_EXPORTER_OTLP_ENDPOINT, if it is set.

    Examples:

      qttrag serve

      qttrag serve -c server/served.yaml --check

      QTTRAG_API_KEYS=$(openssl rand -hex 16) qttrag serve --host 0.0.0.0 --port 80

      OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 qttrag serve

      curl -s http://127.0.0.1:8080/v1/ask -H 'content-type: application/json' -d '{"question": "Mikä on sauna?"}'
    """
    application = output.open_application(config, settings)
    output.run(application.check_strategy(application.deployment.strategy, {}))
    limits = application.deployment.server
    address, number = host or limits.host, limits.port if port is None else port
    check_address(address, limits, without_keys=without_keys)
    traced = tracing.configured()
    if check:
        output.say(
            f"{config}: valid; serves http://{address}:{number}/ with strategy {application.deployment.strategy}"
            + (" and sends traces" if traced else "")
        )
        _open_collections(application)
        return
    try:
        from qttrag.server import create_app
        from qttrag.server.running import run
    except ModuleNotFoundError as error:
        raise ConfigError(f"qttrag serve needs the package '{error.name}'; pip install 'qttrag[server]'") from error
    app, listening = create_app(application=application), listen(address, number)
    output.say(f"qttrag at {url_of(listening)} (models are loading; /readyz reports when they are ready)")
    with _local_socket(application.deployment) as local:
        started = run(app, [listening, *local])
    if not started:
        raise typer.Exit(3)


@contextmanager
def _local_socket(deployment: Deployment) -> Iterator[list[socket.socket]]:
    """Listen for `qttrag ask` of the same user, unless clients need keys."""
    if _keys(deployment.server):
        yield []
        return
    with local_socket.listening(deployment) as listener:
        yield [] if listener is None else [listener]


def _keys(limits: ServerSettings) -> str:
    """Return the keys of clients, those with the right to write included."""
    return "".join(os.environ.get(name, "").strip(" ,") for name in (limits.api_keys_env, limits.write_keys_env))


def url_of(listening: socket.socket) -> str:
    """Return the address of a socket that listens, as http://HOST:PORT/."""
    address, number = listening.getsockname()[:2]
    return f"http://{f'[{address}]' if ':' in address else address}:{number}/"


def _open_collections(application: Application) -> None:
    """Open every collection of the deployment and say what it has.

    Raises:
        CollectionError: some are missing or damaged; the others have been opened."""
    from qttrag.application.named_models import collection_names
    from qttrag.stores.faiss_folder import FaissFolder

    built = map(FaissFolder, collection_names(application.deployment))
    others = [part for stage, part in application.parts if stage == "store" and not isinstance(part, FaissFolder)]
    problems = []
    for store in [*built, *cast("list[VectorStore]", others)]:
        try:
            languages, encoder = store.languages, store.encoder
        except CollectionError as error:
            problems.append(str(error))
            continue
        size = f"{len(store.collection.passages):,} passages, " if isinstance(store, FaissFolder) else ""
        output.say(f"opened {store.name}: {size}{', '.join(languages)}; encoded by {encoder.model}")
    if problems:
        raise CollectionError("; ".join(problems))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at the address; port 0 stands for any.

    Raises:
        ConfigError: the address is unknown or in use, or the port may not be used."""
    if not 0 <= port <= _LARGEST_PORT:
        raise ConfigError(f"port {port} does not exist; choose one from 1 to {_LARGEST_PORT} with --port, or 0 for any")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        problem = f"cannot listen at {host}, port {port}: {error.strerror or error}"
        raise ConfigError(f"{problem}; choose another one with --host and --port") from error
    return listening


def check_address(host: str, limits: ServerSettings, *, without_keys: bool) -> None:
    """Check that an address that others can reach is served with keys, or on purpose without.

    Raises:
        ConfigError: it is not."""
    if without_keys or _keys(limits) or _is_loopback(host):
        return
    raise ConfigError(
        f"address {host} can be reached by others and no API keys are set; set {limits.api_keys_env}, or use "
        "--without-keys to serve everybody"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
