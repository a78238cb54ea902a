"""A TLS server that looks at clients' certificates and says by an alert why it refuses one.

In threads, with blocking sockets: asyncio's servers cut such connections without the alert.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def tls_door(context: ssl.SSLContext) -> Iterator[int]:
    """Serve handshakes, and nothing behind them; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, context), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10.0)


def _serve(server: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = server.accept()
        except OSError:
            return
        with plain, suppress(OSError):
            plain.settimeout(5.0)
            with plain.dup() as raw:
                try:
                    context.wrap_socket(plain, server_side=True).recv(1)
                except ssl.SSLError:
                    # Its alert is on the way; a reset, for what it leaves unread, would overtake.
                    raw.shutdown(socket.SHUT_WR)
                    while raw.recv(65_536):
                        pass
