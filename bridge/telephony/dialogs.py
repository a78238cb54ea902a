"""Asks PJSIP which dialogs there are (RFC 3261 section 12)."""

import ctypes

from bridge.telephony.library import PjString
from bridge.telephony.sip_module import Symbols


def has_dialog(lib: Symbols, call_id: str, local_tag: str, remote_tag: str) -> bool:
    """Return whether a dialog is there (:func:`find_dialog`)."""
    return find_dialog(lib, call_id, local_tag, remote_tag) is not None


def find_dialog(lib: Symbols, call_id: str, local_tag: str, remote_tag: str) -> int | None:
    """Return the address of a `pjsip_dialog`, None where there is none; an empty name is of none.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        call_id: of the dialog.
        local_tag: ours: in a request that came, To's; ``remote_tag``: the far end's.
    """
    names = (call_id, local_tag, remote_tag)
    if not all(names):
        return None
    texts = [PjString.of(name.encode("latin-1")) for name in names]
    found: int | None = lib.pjsip_ua_find_dialog(*map(ctypes.byref, texts), 0)
    return found
