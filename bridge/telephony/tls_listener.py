"""SIP over TLS 1.2 and later: the listening socket, its certificate, and the certificate's renewal.

PJSIP checks a server's certificate as RFC 5922 section 7 has it: the name that was dialled is the
certificate's, letter by letter, without wildcards. Renewing opens another listening socket at the
same port; connections that are open keep theirs, and the calls on them go on.

PJSIP lets a client whose certificate is refused finish its handshake first, and OpenSSL then has a
session that the client could take up again without showing a certificate (TLS 1.2, by its session's
number). So sessions are not kept at all.
"""

import ctypes
from typing import Any

import structlog

from bridge.config.secure_sip import TlsSettings
from bridge.config.sip import SipSettings
from bridge.errors import InfrastructureError, TelephonyError
from bridge.sip.addresses import host_and_port
from bridge.telephony.certificates import HeldCredentials, TlsCredentials
from bridge.telephony.library import import_pjsua2
from bridge.telephony.pj_settings import transport_config, transport_kind
from bridge.telephony.replies import TLS, Transport
from bridge.telephony.socket_address import SocketAddress
from bridge.telephony.transport_states import CONNECTED, DISCONNECTED, TransportStates

pj: Any = import_pjsua2()  # a SWIG module without types
log = structlog.get_logger(__name__)

_TLS_1_2, _TLS_1_3 = 1 << 4, 1 << 5
"""`pj_ssl_sock_proto` (pj/ssl_sock.h)."""

_HANDSHAKE_MS = 5_000
"""A connection that is not through its handshake by then is closed."""

_TO_C = "_ZNK2pj15TransportConfig4toPjEv"
"""`pj::TransportConfig::toPj() const`: returns a `pjsua_transport_config`."""
_RESTART = "pjsua_transport_lis_restart"
"""In PJSIP from 2.17 on."""


class _StateInfo(ctypes.Structure):
    """`pjsip_transport_state_info` (pjsip/sip_transport.h); ``more`` is for TLS alone."""

    _fields_ = (("status", ctypes.c_int), ("more", ctypes.POINTER(ctypes.c_void_p)))


class _SocketInfo(ctypes.Structure):
    """`pj_ssl_sock_info` (pj/ssl_sock.h)."""

    _fields_ = (
        ("established", ctypes.c_int),
        ("protocol", ctypes.c_uint32),
        ("cipher", ctypes.c_int),
        ("near_end", SocketAddress),
        ("far_end", SocketAddress),
        ("near_cert", ctypes.c_void_p),
        ("far_cert", ctypes.c_void_p),
        ("verify_status", ctypes.c_uint32),
        ("last_error", ctypes.c_ulong),
        ("lock", ctypes.c_void_p),
        ("ssl", ctypes.c_void_p),
    )


_SET_CACHE_MODE, _NO_CACHE, _ALL = 44, 0, 0
"""`SSL_CTRL_SET_SESS_CACHE_MODE` and `SSL_SESS_CACHE_OFF` (openssl/ssl.h); of whatever age."""


class _NoSessions:
    """Has OpenSSL keep no session that a client could take up again; keep it with the endpoint.

    The first connection's context is that of all that follow at the same socket.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib = lib
        pointer = ctypes.c_void_p
        lib.SSL_get_SSL_CTX.restype = pointer
        lib.SSL_get_SSL_CTX.argtypes = [pointer]
        lib.SSL_CTX_ctrl.restype = ctypes.c_long
        lib.SSL_CTX_ctrl.argtypes = [pointer, ctypes.c_int, ctypes.c_long, pointer]
        lib.SSL_CTX_flush_sessions.restype = None
        lib.SSL_CTX_flush_sessions.argtypes = [pointer, ctypes.c_long]
        lib.pjsip_transport_shutdown2.argtypes = [pointer, ctypes.c_int]
        self._states = TransportStates(lib, self._on_state)

    def _on_state(self, transport: int, state: int, info: int) -> None:
        try:
            known = Transport.from_address(transport)
            # A client whose certificate is refused is disconnected at once.
            if state in {CONNECTED, DISCONNECTED} and known.kind == TLS:
                more = _StateInfo.from_address(info).more
                if more:
                    self._forget(known, _SocketInfo.from_address(more[0]))
        except Exception:
            log.exception("tls_connection_not_judged")
            self._lib.pjsip_transport_shutdown2(transport, 1)

    def _forget(self, transport: Transport, info: _SocketInfo) -> None:
        if not info.ssl:
            return
        if info.far_end.host_and_port != transport.far_end.host_and_port:
            raise TelephonyError("the loaded PJSIP lays its TLS sockets out in an unknown way")
        context = self._lib.SSL_get_SSL_CTX(info.ssl)
        self._lib.SSL_CTX_ctrl(context, _SET_CACHE_MODE, _NO_CACHE, None)
        self._lib.SSL_CTX_flush_sessions(context, _ALL)


class _TransportConfig(ctypes.Structure):
    """At least as long as `pjsua_transport_config`, which is passed on as it is."""

    _fields_ = (("content", ctypes.c_char * 8192),)


class TlsListener:
    """SIP over TLS, heard at a port of its own.

    Args:
        lib: PJSIP's symbols.
        endpoint: initialised, not started.
        settings: they have `tls`.

    Attributes:
        port: where it is heard.
        credentials: in force.

    Raises:
        ConfigError: the certificate or its key can't be used.
        InfrastructureError: the port is taken.
    """

    def __init__(self, lib: ctypes.CDLL, endpoint: Any, settings: SipSettings) -> None:
        if settings.tls is None:
            raise AssertionError("a TLS listener has TLS settings")
        self._tls: TlsSettings = settings.tls
        self._settings = settings
        self._lib = lib
        self.credentials = TlsCredentials.read(self._tls)
        self._held = HeldCredentials(self.credentials)
        self._former: HeldCredentials | None = None
        getattr(lib, _TO_C).restype = _TransportConfig
        getattr(lib, _TO_C).argtypes = [ctypes.c_void_p]
        getattr(lib, _RESTART).argtypes = [ctypes.c_int, ctypes.c_void_p]
        kind = transport_kind(settings, pj.PJSIP_TRANSPORT_TLS)
        try:
            self._id = int(endpoint.transportCreate(kind, self._config(self._tls.port)))
        except pj.Error as error:
            self._held.close()
            raise InfrastructureError(
                f"SIP over TLS cannot listen on {host_and_port(settings.host, self._tls.port)}: "
                f"{error.reason}",
                remedy="free the port, or set sip.tls.port (0 takes a free one)",
            ) from error
        self._no_sessions = _NoSessions(lib)
        address = endpoint.transportGetInfo(self._id).localName
        self.port = int(address.rsplit(":", 1)[1])

    def renew(self, credentials: TlsCredentials) -> None:
        """Show another certificate from here on; open connections stay as they are.

        Raises:
            TelephonyError: PJSIP can't listen any more, which it says in its log.
        """
        held = HeldCredentials(credentials)
        self._former, self._held, former = self._held, held, self._former
        config = self._config(self.port)  # owns what its C form points to
        c_form = getattr(self._lib, _TO_C)(int(config.this))
        status = getattr(self._lib, _RESTART)(self._id, ctypes.addressof(c_form))
        if status != 0:
            raise TelephonyError(f"SIP over TLS listens no more (PJSIP status {status})")
        self.credentials = credentials
        if former is not None:
            former.close()

    def close(self) -> None:
        """Forget the credentials; PJSIP is down."""
        for held in (self._held, self._former):
            if held is not None:
                held.close()

    def _config(self, port: int) -> Any:
        config = transport_config(self._settings)
        config.port = port
        tls = config.tlsConfig
        tls.certFile, tls.privKeyFile = self._held.cert_path, self._held.key_path
        tls.CaListFile = self._held.authorities_path
        tls.proto = _TLS_1_2 | _TLS_1_3
        tls.verifyServer = True
        tls.verifyClient = tls.requireClientCert = self._tls.verify_client
        tls.msecTimeout = _HANDSHAKE_MS
        return config
