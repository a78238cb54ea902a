"""Responses that PJSIP writes and sends for us outside of its own transactions.

In the loop's thread, within a callback about the request.
"""

import ctypes

from bridge.telephony.library import PjString
from bridge.telephony.sip_module import Symbols
from bridge.telephony.sip_request import Answer

_POOL_BYTES = 1024


class Replies:
    """Answers requests without a transaction: a repeated request is answered anew, and alike.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib: Symbols = lib
        self._endpoint = lib.pjsua_get_pjsip_endpt()

    def send(self, rdata: int, answer: Answer) -> None:
        """Answer a request; it may not be an ACK.

        Args:
            rdata: address of its `pjsip_rx_data`.
        """
        lib = self._lib
        pool = lib.pjsip_endpt_create_pool(self._endpoint, b"reply", _POOL_BYTES, _POOL_BYTES)
        kept: list[object] = []
        try:
            # The list's head is a zeroed block linked to itself (`pj_list_init`).
            head = (ctypes.c_void_p * 16)()
            address = ctypes.addressof(head)
            head[0] = head[1] = address
            for name, value in answer.headers:
                texts = [_string(kept, name), _string(kept, value)]
                header = lib.pjsip_generic_string_hdr_create(pool, *map(ctypes.byref, texts))
                lib.pj_list_insert_before(address, header)
            reason = ctypes.byref(_string(kept, answer.reason))
            lib.pjsip_endpt_respond_stateless(
                self._endpoint, rdata, answer.code, reason, address, None
            )
        finally:
            lib.pjsip_endpt_release_pool(self._endpoint, pool)


def _string(kept: list[object], text: str) -> PjString:
    data = text.encode("latin-1", "replace")
    buffer = ctypes.create_string_buffer(data)
    kept.append(buffer)
    return PjString(ctypes.cast(buffer, ctypes.c_void_p), len(data))
