"""`qttrag mcp`: the deployment as tools for agents."""

from __future__ import annotations

import logging.config
from typing import Annotated

import typer

from qttrag.cli import output
from qttrag.cli.serve import check_address, listen, url_of
from qttrag.errors import ConfigError
from qttrag.resources import DEFAULT_DEPLOYMENT


def mcp(
    config: output.Config = DEFAULT_DEPLOYMENT,
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP instead of standard input and output.")] = False,
    host: Annotated[str | None, typer.Option(help="With --http: address (default: `server.host`).")] = None,
    port: Annotated[int | None, typer.Option(help="With --http: port (default: `server.port`); 0: any.")] = None,
    settings: output.Set = None,
) -> None:
    """Serve the tools search, ask, translate and tag to agents by the Model Context Protocol (MCP).

    Agents start it themselves and talk to it over standard input and output; models load at the start. With --http many
    share one at /mcp, with the keys, names and limits of `qttrag serve`: without keys only at loopback addresses.

    Examples:

      qttrag mcp --config laptop

      qttrag mcp --http --port 8090
    """
    application = output.open_application(config, settings)
    output.run(application.check_strategy(application.deployment.strategy, {}))
    limits = application.deployment.server
    try:
        from qttrag.mcp.server import create_http_app, serve_stdio
        from qttrag.server.running import LOGGING, run
    except ModuleNotFoundError as error:
        raise ConfigError(f"qttrag mcp needs the package '{error.name}'; pip install 'qttrag[mcp]'") from error
    if not http:
        if host is not None or port is not None:
            raise ConfigError("--host and --port are of HTTP; add --http, or leave them out")
        logging.config.dictConfig(LOGGING)
        output.run(serve_stdio(application))
        return
    address = host or limits.host
    check_address(address, limits, without_keys=False)
    app, listening = create_http_app(application), listen(address, limits.port if port is None else port)
    output.say(f"qttrag's tools at {url_of(listening)}mcp (models are loading)")
    if not run(app, [listening]):
        raise typer.Exit(3)
