"""Why a connection failed, in words for people."""

import os
import ssl

import aiohttp


def reason(problem: Exception) -> str:
    """Return why a connection failed, in few words."""
    if isinstance(problem, TimeoutError):
        return "no answer in time"
    system = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
    if isinstance(system, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {system.verify_message}"
    if isinstance(system, ssl.SSLError):  # its number is no number of the system's
        why = (system.reason or str(system)).replace("_", " ").lower()
        return f"TLS failed ({why}): does it speak https?"
    if isinstance(system, OSError) and system.errno and system.errno > 0:
        return os.strerror(system.errno)
    return str(system) or type(system).__name__
