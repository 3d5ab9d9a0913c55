"""`batchyard owners`: which dispatchers there are, and what they hold."""

from batchyard.cli.loop import complete
from batchyard.cli.options import DEFAULT_URL, ApiKey, AsJson, BaseUrl, server
from batchyard.cli.screen import put, say, table


def owners(base_url: BaseUrl = DEFAULT_URL, api_key: ApiKey = None, json: AsJson = False) -> int:
    """List the dispatchers on a Batchyard's store: who lives, and what each holds. Takes a key with the scope admin.

    \b
    Example:
      $ batchyard owners
    """
    import msgspec

    from batchyard.client.api import Api

    url, key = server(base_url, api_key)

    async def ask() -> bytes:
        async with Api(url, key) as api:
            return await api.beside("GET", "/owners")

    told = complete(ask())
    if json:
        put(told)
        return 0
    found = msgspec.json.decode(told)["owners"]
    rows = [
        (
            owner["id"],
            "lives" if owner["lives"] else "dead",
            f"{owner['seconds_since_heartbeat']:.1f} s ago",
            f"{owner['leases']:,}",
            f"{owner['carriers']:,}",
        )
        for owner in found
    ]
    table(("id", "state", "heartbeat", "in flight", "carriers"), rows)
    if not found:
        say("nobody dispatches")
    return 0
