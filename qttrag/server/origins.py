"""Protection of a service without keys from web pages: which names it answers to, and which pages may ask it.

A page on another site can let its own name resolve to this machine (DNS rebinding), or send requests here. Browsers say
both: `Host` is the name that was asked for, `Origin` the site of the page."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from qttrag.config.server_settings import ServerSettings
from qttrag.server.errors import RequestRejected

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class HostCheck:
    """Checks `Host` and `Origin`. Nothing is checked where clients need keys, which pages of other sites lack."""

    def __init__(self, settings: ServerSettings, *, keyed: bool) -> None:
        self._keyed = keyed
        self._names = frozenset({"localhost", settings.host.lower(), *map(str.lower, settings.allowed_hosts)})
        self._origins = frozenset(settings.origins)

    def check(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Check one request.

        Raises:
            RequestRejected: 421, it is for another name; 403, it asks for the page of another site."""
        if self._keyed:
            return
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = _name(host)
        if name not in self._names and not _is_address(name):
            message = f"this service does not answer to the name '{name[:80]}'; ask its operator to allow it"
            raise RequestRejected(421, "unknown_host", message)
        origin = headers.get(b"origin", b"").decode("latin-1")
        if method not in _READING and origin and not self._is_allowed(origin, host):
            message = f"pages of '{origin[:80]}' may not use this service; ask its operator to allow them"
            raise RequestRejected(403, "foreign_origin", message)

    def _is_allowed(self, origin: str, host: str) -> bool:
        return not self._origins.isdisjoint({origin, "*"}) or urlsplit(origin).netloc.lower() == host


def _name(host: str) -> str:
    """Return a Host header without its port and without the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    """Return whether a name is an IP address, which no name server can point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
