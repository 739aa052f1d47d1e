"""`qttrag serve`: the service and its page."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qttrag.cli import output
from qttrag.errors import ConfigError
from qttrag.resources import DEFAULT_DEPLOYMENT
from qttrag.server import tracing

if TYPE_CHECKING:
    from qttrag.config.server_settings import ServerSettings

_CLOSING_S = 5  # for connections to close after the drain
_LARGEST_PORT = 65_535
_BACKLOG = 2048  # connections that wait to be accepted


def serve(
    config: output.Config = DEFAULT_DEPLOYMENT,
    host: Annotated[str | None, typer.Option(help="Address to listen at (default: `server.host`).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at (default: `server.port`); 0: any.")] = None,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Serve without API keys, also at an address that others can reach.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Check the deployment and exit; nothing is loaded.")] = False,
    settings: output.Set = None,
) -> None:
    """Serve the HTTP API and the page.

    Clients need one of the keys in QTTRAG_API_KEYS (separated by commas), or in QTTRAG_WRITE_API_KEYS, with which they
    may also change documents; without keys only loopback addresses are served.
    Traces go to OTEL_EXPORTER_OTLP_ENDPOINT, if it is set.

    Examples:

      qttrag serve

      qttrag serve -c server/paper.yaml --check

      QTTRAG_API_KEYS=$(openssl rand -hex 16) qttrag serve --host 0.0.0.0 --port 80

      OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 qttrag serve

      curl -s http://127.0.0.1:8080/v1/ask -H 'content-type: application/json' -d '{"question": "Mikä on sauna?"}'
    """
    application = output.open_application(config, settings)
    output.run(application.check_strategy(application.deployment.strategy, {}))
    limits = application.deployment.server
    address, number = host or limits.host, limits.port if port is None else port
    _check_address(address, limits, without_keys=without_keys)
    traced = tracing.configured()
    if check:
        output.say(
            f"{config}: valid; serves http://{address}:{number}/ with strategy {application.deployment.strategy}"
            + (" and sends traces" if traced else "")
        )
        return
    try:
        import uvicorn

        from qttrag.server import create_app
        from qttrag.server.draining import DrainingServer
        from qttrag.server.http_protocol import TimedProtocol
    except ModuleNotFoundError as error:
        raise ConfigError(f"qttrag serve needs the package '{error.name}'; pip install 'qttrag[server]'") from error
    app, listening = create_app(application=application), _listen(address, number)
    number = listening.getsockname()[1]
    shown = f"[{address}]" if ":" in address else address
    output.say(f"qttrag at http://{shown}:{number}/ (models are loading; /readyz reports when they are ready)")
    server = DrainingServer(
        uvicorn.Config(
            app,
            http=TimedProtocol,
            log_config=_LOGGING,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_CLOSING_S,
            limit_concurrency=limits.max_connections,
        ),
        app.state.service,
    )
    server.run(sockets=[listening])
    if not server.started:
        raise typer.Exit(3)


def _listen(host: str, port: int) -> socket.socket:
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


def _check_address(host: str, limits: ServerSettings, *, without_keys: bool) -> None:
    has_keys = any(os.environ.get(name, "").strip(" ,") for name in (limits.api_keys_env, limits.write_keys_env))
    if without_keys or has_keys or _is_loopback(host):
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


_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "qttrag.server.middleware.LogFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "qttrag": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "opentelemetry": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "asgi_correlation_id": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},  # else plain text
    },
}
