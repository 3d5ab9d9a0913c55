"""`batchyard serve`: the server."""

from batchyard.cli.settings import with_settings
from batchyard.settings import DECLARED, Settings


@with_settings(name for name, declared in DECLARED.items() if declared.is_option)
def serve(settings: Settings) -> int:
    """Start the server: the API and the engine that runs batches. It needs no configuration.

    Each option has an environment variable, such as BATCHYARD_PORT, and a key in batchyard.toml. There are more
    settings; docs/configuration.md lists them. SIGTERM or Ctrl-C drains: calls in flight finish. A second one stops
    at once.

    \b
    Example:
      $ batchyard serve --port 8787 --data ./batchyard-data
    """
    from batchyard import app

    return app.serve(settings)
