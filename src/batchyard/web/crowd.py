"""How many connections come from where: nobody may take all that there are.

This machine and trusted proxies are not limited, for behind them are others.
"""

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network


class Crowd:
    """Counts connections by address; an IPv6 client has a whole /64, and is counted by it."""

    def __init__(self, most_per_address: int = 1000, trusted: Sequence[str] = ()) -> None:
        self._most = most_per_address
        self._trusted = [ip_network(each, strict=False) for each in trusted]
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> str | None:
        """Count one connection and return what to ``leave`` by; None: there are enough from there."""
        place = self._place(address)
        if place and self._open[place] >= self._most:
            return None
        self._open[place] += 1
        return place

    def leave(self, place: str) -> None:
        """Uncount one that was counted."""
        self._open[place] -= 1
        if not self._open[place]:
            del self._open[place]

    def _place(self, address: str) -> str:
        try:
            ip = ip_address(address)
        except ValueError:
            return ""
        if isinstance(ip, IPv6Address):
            ip = ip.ipv4_mapped or ip
        if ip.is_loopback or any(ip in network for network in self._trusted):
            return ""
        return str(ip_network((ip, 64), strict=False)) if isinstance(ip, IPv6Address) else str(ip)
