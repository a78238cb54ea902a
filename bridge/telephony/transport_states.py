"""Changes of PJSIP's transports: connections that come, end and are gone. Loop's thread."""

import ctypes
from collections.abc import Callable

CONNECTED, DISCONNECTED, DESTROYED = 0, 1, 3
"""`pjsip_transport_state` (pjsip/sip_transport.h); what follows the second is an end, too."""

_OnState = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class TransportStates:
    """Hears of each change of a transport's state before PJSUA; keep it with the endpoint.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        on_state: given the addresses of the `pjsip_transport` and of its
            `pjsip_transport_state_info`, with the state between; may not fail.
    """

    def __init__(self, lib: ctypes.CDLL, on_state: Callable[[int, int, int], None]) -> None:
        pointer = ctypes.c_void_p
        lib.pjsip_tpmgr_get_state_cb.restype = pointer
        lib.pjsip_tpmgr_get_state_cb.argtypes = [pointer]
        lib.pjsip_tpmgr_set_state_cb.argtypes = [pointer, pointer]
        manager = lib.pjsip_endpt_get_tpmgr(lib.pjsua_get_pjsip_endpt())
        self._on_state = on_state
        self._next = _OnState(lib.pjsip_tpmgr_get_state_cb(manager))
        self._callback = _OnState(self._hear)
        lib.pjsip_tpmgr_set_state_cb(manager, self._callback)

    def _hear(self, transport: int, state: int, info: int) -> None:
        self._on_state(transport, state, info)
        self._next(transport, state, info)
