"""Where does a server of ours listen?"""

from __future__ import annotations

import errno
import socket

__all__ = ["bound_to"]


def bound_to(port: int) -> socket.socket:
    """A socket for IPv4 and IPv6 at once, or for IPv4 where there is no IPv6; port 0 is one free port for both.

    Raises ``OSError`` if the port is taken.
    """
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
    return socket.create_server(("", port))
