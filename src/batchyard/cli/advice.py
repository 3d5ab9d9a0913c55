"""What to do about what a server said, where its own words do not tell a user of the commands."""

from batchyard.cli.options import DEFAULT_URL
from batchyard.client.errors import RefusedByServer, Unreachable


def advice(problem: Exception) -> list[str]:
    """Return lines that say what to change, or none."""
    match problem:
        case RefusedByServer(status=401):
            return [
                "ANTHROPIC_API_KEY, or --api-key, must hold a key of that server; `batchyard keys create` makes one"
            ]
        case Unreachable() if f"cannot reach {DEFAULT_URL}:" in str(problem):
            return ["is it running? `batchyard serve` starts one; ANTHROPIC_BASE_URL, or --base-url, names another"]
    return []
