"""The calls that PJSUA has: their objects live from before its first callback to after its last.

pjsua2's destructor takes the object off whatever call is in its slot by then, and hangs that up.
So an object whose call is over is freed outside of callbacks, and only once its slot is free: no
other call, not even one that is hanging up, may be in it. It is freed then and there, not with the
last reference: the traceback of an error may hold one for long, and the destructor aborts a process
whose PJSIP is down.
"""

import ctypes
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from bridge.telephony.replaces import DialogId, InviteId

_REMEMBERED = 1024
"""Dialogs that are over, so that a late INVITE for one is declined, not taken for a mistake."""


class Kept(Protocol):
    """The type of the objects that are kept: a `pj::Call`."""

    dialog: DialogId | None
    invite: InviteId | None

    def getId(self) -> int:
        """Return its slot in PJSUA."""

    def free(self) -> None:
        """Destroy the C++ object, whoever still knows this one."""


CallT = TypeVar("CallT", bound=Kept)


class PjCalls(Generic[CallT]):
    """Keeps the `pj::Call` objects of one endpoint.

    Args:
        lib: PJSIP's symbols.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._going_on: set[CallT] = set()
        self._over: list[CallT] = []
        self._past: deque[DialogId] = deque(maxlen=_REMEMBERED)
        lib.pjsua_call_get_user_data.restype = ctypes.c_void_p
        self._object_in: Callable[[int], int | None] = lib.pjsua_call_get_user_data

    def __iter__(self) -> Iterator[CallT]:
        return iter(tuple(self._going_on))

    def __len__(self) -> int:
        return len(self._going_on)

    def add(self, call: CallT) -> None:
        """Keep a call that PJSUA has, or is about to have."""
        self._going_on.add(call)

    def over(self, call: CallT) -> None:
        """Take that PJSUA has had its last callback about a call; may be called within it."""
        if call in self._going_on:
            self._going_on.discard(call)
            if call.dialog is not None:
                self._past.append(call.dialog)
            self._over.append(call)

    def find(self, dialog: DialogId) -> CallT | None:
        """Return the call of a dialog that goes on, if there is one."""
        return next((call for call in self._going_on if call.dialog == dialog), None)

    def has_invite(self, invite: InviteId) -> bool:
        """Return whether a call that goes on began with this INVITE."""
        return any(call.invite == invite for call in self._going_on)

    def was(self, dialog: DialogId) -> bool:
        """Return whether there was such a dialog lately."""
        return dialog in self._past

    def drop_ended(self) -> None:
        """Free those that are over; not to be called in a callback."""
        over, self._over = self._over, []
        for call in over:
            if self._is_free(call.getId()):
                call.free()
            else:
                self._over.append(call)

    def drop_all(self) -> None:
        """Free every one; PJSUA has hung up all of its calls."""
        for call in (*self._going_on, *self._over):
            call.free()
        self._going_on.clear()
        self._over.clear()

    def _is_free(self, slot: int) -> bool:
        return slot < 0 or self._object_in(slot) is None
