"""The dashboard as a browser gets it, byte for byte; `tests/browser` has the browser."""
