"""Which names this server answers to, and by which URL its clients reach it.

A client sends its key to the ``results_url`` we name, and a browser may be led here under any name (DNS rebinding),
so neither ``Host`` nor what a proxy forwards is believed unless it is on the list.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from batchyard.web.calls import ApiCall, Refusal
from batchyard.web.settings import WebSettings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z._-]+))(?::\d{1,5})?\Z")


class Hosts:
    """The Host allow-list and the trusted proxies."""

    def __init__(self, settings: WebSettings) -> None:
        self._public_url = settings.public_url.rstrip("/") if settings.public_url else None
        public_host = urlsplit(self._public_url).hostname if self._public_url else None
        extra = {name.lower().strip("[]") for name in settings.allowed_hosts}
        self._any = "*" in extra
        self._allowed = LOOPBACK | extra | ({public_host} if public_host else set())
        self._proxies: list[IPv4Network | IPv6Network] = [
            ip_network(each, strict=False) for each in settings.trusted_proxies
        ]

    def base_url(self, call: ApiCall) -> str:
        """Return the URL that the client reached us by, without a last slash; refuse a name that is not ours."""
        reached = self._reached(call)  # judged in any case
        return self._public_url or reached

    def origins(self, call: ApiCall) -> set[str]:
        """Return the origins that pages of ours have for this client: the public one, and where it reached us."""
        public = urlsplit(self._public_url or "")
        return {self._reached(call), *([f"{public.scheme}://{public.netloc}"] if public.netloc else [])}

    def _reached(self, call: ApiCall) -> str:
        host = self._checked(_only(call.headers, "host"), call)
        scheme = str(call.scope.get("scheme", "http"))
        if self._is_proxy(_peer(call)):
            host = self._checked(_last(call.headers, "x-forwarded-host") or host, call)
            forwarded = (_last(call.headers, "x-forwarded-proto") or "").lower()
            scheme = forwarded if forwarded in ("http", "https") else scheme
        return f"{scheme}://{host}"

    def is_local(self, call: ApiCall) -> bool:
        """Whether the call was made on this machine, and not just handed on by a proxy on it."""
        address = _peer(call)
        hops = [hop.strip() for line in call.headers.getlist("x-forwarded-for") for hop in line.split(",")]
        while hops and self._is_proxy(address):
            address = hops.pop()
        try:
            return ip_address(address).is_loopback
        except ValueError:
            return False

    def _checked(self, host: str | None, call: ApiCall) -> str:
        if not host:
            if host is None and call.scope.get("http_version") == "1.0":
                name, port = call.scope.get("server") or ("localhost", None)
                return f"{name}:{port}" if port else str(name)
            raise Refusal(400, "host: exactly one Host header is required.")
        match = _HOST.match(host)
        if match is None:
            raise Refusal(400, "host: this is not a host name.")
        name = (match["six"] or match["name"]).lower().removesuffix(".")
        if not self._any and name not in self._allowed:
            raise Refusal(421, f"host: this server does not answer to {name[:100]}. Add it to allowed_hosts.")
        return host

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)


def _peer(call: ApiCall) -> str:
    client = call.scope.get("client")
    return str(client[0]) if client else ""


def _only(headers: Headers, name: str) -> str | None:
    """Return the header; None where there is none, empty where there are several."""
    lines = headers.getlist(name)
    if len(lines) > 1:
        return ""
    return lines[0].strip() if lines else None


def _last(headers: Headers, name: str) -> str | None:
    """Return the last of a header's comma-separated values: the one that the proxy next to us wrote."""
    lines = headers.getlist(name)
    return lines[-1].rpartition(",")[2].strip() if lines else None
