"""A module of PJSIP's: callbacks that see SIP messages before or after PJSUA's.

All in the loop's thread, inside the endpoint's poll or within a call into PJSIP.
"""

import ctypes
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bridge.errors import TelephonyError
from bridge.telephony.library import PjString

HANDLED, PASS = 1, 0
"""What a callback returns for a received message; for one that is sent, 0 lets it go."""

_OnMessage = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)

MessageCallback = Callable[[int], int]
"""Takes the address of a `pjsip_rx_data` or `pjsip_tx_data`."""


class Symbols(Protocol):
    """The C functions that modules need (a :class:`ctypes.CDLL` has them)."""

    def __getattr__(self, name: str) -> Callable[..., Any]:  # its restype says what it returns
        """Return the C function called ``name``."""


class _Struct(ctypes.Structure):
    """`pjsip_module` (pjsip/sip_module.h)."""

    _fields_ = (
        ("prev", ctypes.c_void_p),
        ("next", ctypes.c_void_p),
        ("name", PjString),
        ("id", ctypes.c_int),
        ("priority", ctypes.c_int),
        ("load", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("unload", ctypes.c_void_p),
        ("on_rx_request", _OnMessage),
        ("on_rx_response", _OnMessage),
        ("on_tx_request", _OnMessage),
        ("on_tx_response", _OnMessage),
        ("on_tsx_state", ctypes.c_void_p),
    )


class SipModule:
    """A registered module; keep it as long as the endpoint lives.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        name: unique among PJSIP's modules.
        priority: those with lower ones see received messages before it, and sent ones after it.
        callbacks: by field of `pjsip_module`; no exception may leave them.

    Raises:
        TelephonyError: PJSIP refused it.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        name: bytes,
        priority: int,
        callbacks: Mapping[str, MessageCallback],
    ) -> None:
        self._name = PjString.of(name)
        self._callbacks = {field: _OnMessage(each) for field, each in callbacks.items()}
        self._struct = _Struct(name=self._name, id=-1, priority=priority)
        for field, callback in self._callbacks.items():
            setattr(self._struct, field, callback)
        endpoint = lib.pjsua_get_pjsip_endpt()
        status = lib.pjsip_endpt_register_module(endpoint, ctypes.addressof(self._struct))
        if status != 0:
            raise TelephonyError(f"PJSIP refused the module {name.decode()} (status {status})")
