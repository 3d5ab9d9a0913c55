"""Sockets: bound before anything is served, and how much of what was sent is still on its way."""

import asyncio
import errno
import socket
import sys
from contextlib import suppress

if sys.platform != "win32":
    import fcntl
    import termios


class CannotListen(Exception):
    """The address cannot be listened on. The message is one line that says what, and what to do."""


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of the host, all on one port; port 0 takes a free one."""
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with suppress(_NoSuchFamily):
                sockets.append(_bound(family, (address[0], port, *address[2:])))
                port = sockets[0].getsockname()[1]
    except OSError as error:
        for each in sockets:
            each.close()
        raise CannotListen(_why(host, port, error)) from error
    if not sockets:
        raise CannotListen(f"cannot listen on {host}: this machine has no such address")
    return sockets


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes the kernel holds that the client has not acknowledged; 0 where it cannot be asked.

    Without it a slow reader would look stuck: the kernel takes more from us only once a third of its buffer, which
    may be a megabyte, is free again.
    """
    if sys.platform == "win32":
        return 0
    connection = transport.get_extra_info("socket")
    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError, AttributeError):
        return 0
    return int.from_bytes(answer, sys.byteorder)


class _NoSuchFamily(Exception):
    pass


def _bound(family: int, address: tuple[str | int, ...]) -> socket.socket:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _NoSuchFamily from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.setblocking(False)  # noqa: FBT003
    except OSError:
        listener.close()
        raise
    return listener


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not allowed for this user: choose one above 1023 with --port"
    return f"cannot listen on {host} port {port}: {error.strerror or error}"
