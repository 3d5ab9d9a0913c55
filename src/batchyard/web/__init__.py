"""The HTTP side: server, API, keys."""
