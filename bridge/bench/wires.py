"""Wires of the benchmark's callers: SIP over UDP or TLS, and RTP by SRTP.

SRTP is libsrtp's (pylibsrtp, of the extra `bench`): in Python alone, 20,000 packets a second would
cost more than what is measured. PJSIP has another build of it.
"""

import base64
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from bridge.errors import ConfigError, InfrastructureError

SRTP_TAG_BYTES = 10
"""AES_CM_128_HMAC_SHA1_80 (RFC 4568 section 6.2.1)."""

_READ_BYTES = 65536
_CONNECT_WITHIN_S = 10.0
_HEAD_END = b"\r\n\r\n"


class _Wire:
    """Holds one socket that is polled; use :meth:`close`.

    Attributes:
        port: its own.
    """

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self.port = int(opened.getsockname()[1])

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class UdpWire(_Wire):
    """SIP from one UDP socket of 127.0.0.1.

    Args:
        server: host and port.

    Raises:
        OSError: there is no socket.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind(("127.0.0.1", 0))
        opened.setblocking(False)
        super().__init__(opened)

    def send(self, message: bytes) -> None:
        """Send a message; requests are repeated by their sender."""
        self._socket.sendto(message, self._server)

    def messages(self) -> Iterator[bytes]:
        """Give the messages that have come."""
        while True:
            try:
                yield self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except ConnectionError:  # nobody there; requests are repeated, and given up
                continue


class TlsWire(_Wire):
    """SIP over one TLS connection; believes every certificate.

    Args:
        server: host and port.

    Raises:
        InfrastructureError: there is no connection.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            raw = socket.create_connection(server, _CONNECT_WITHIN_S)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().__init__(context.wrap_socket(raw))
        except OSError as error:
            raise self._lost(error) from error
        self._heard = b""

    def send(self, message: bytes) -> None:
        """Send a message; waits while the connection is full.

        Raises:
            InfrastructureError: the connection is lost.
        """
        self._socket.settimeout(_CONNECT_WITHIN_S)
        try:
            self._socket.sendall(message)
        except OSError as error:
            raise self._lost(error) from error

    def messages(self) -> Iterator[bytes]:
        """Give the whole messages that have come.

        Raises:
            InfrastructureError: the connection is lost.
        """
        self._socket.settimeout(0)
        try:
            while read := self._socket.recv(_READ_BYTES):
                self._heard += read
        except ssl.SSLWantReadError:
            yield from self._whole()
        except OSError as error:
            raise self._lost(error) from error
        else:
            raise self._lost("the server has closed it")

    def _lost(self, why: object) -> InfrastructureError:
        host, port = self._server
        return InfrastructureError(f"callers' TLS connection to {host}:{port}: {why}")

    def _whole(self) -> Iterator[bytes]:
        while _HEAD_END in self._heard:
            head, _, rest = self._heard.lstrip(b"\r\n").partition(_HEAD_END)
            length = _content_length(head)
            if len(rest) < length:
                return
            self._heard = rest[length:]
            yield head + _HEAD_END + rest[:length]


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() in {b"content-length", b"l"}:
            return int(value)
    return 0


class SrtpStream:
    """Both directions of a call's SRTP, AES_CM_128_HMAC_SHA1_80 (RFC 3711).

    Args:
        key, far_key: master keys and salts, in base64, of what goes and of what comes.

    Attributes:
        keys: both.

    Raises:
        ConfigError: pylibsrtp is missing.
    """

    def __init__(self, key: str, far_key: str) -> None:
        library = _library()
        self.keys = key, far_key
        self._error = library.Error
        kinds = (library.Policy.SSRC_ANY_OUTBOUND, library.Policy.SSRC_ANY_INBOUND)
        self._goes, self._comes = (
            library.Session(library.Policy(key=base64.b64decode(each), ssrc_type=kind))
            for each, kind in zip(self.keys, kinds, strict=True)
        )

    def protect(self, packet: bytes) -> bytes:
        """Return an RTP packet as it is sent."""
        return bytes(self._goes.protect(packet))

    def unprotect(self, packet: bytes) -> bytes:
        """Return the RTP packet that came; nothing where another key sealed it."""
        try:
            return bytes(self._comes.unprotect(packet))
        except self._error:
            return b""


def check_can_secure() -> None:
    """Say early that SRTP can't be measured.

    Raises:
        ConfigError: pylibsrtp is missing.
    """
    _library()


def _library() -> Any:
    try:
        import pylibsrtp
    except ImportError as error:
        raise ConfigError(
            "SRTP's callers need pylibsrtp", remedy="pip install 'telephony-bridge[bench]'"
        ) from error
    return pylibsrtp
