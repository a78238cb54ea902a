"""Objects of ended calls stay until nobody else is in their slot."""

import weakref
from typing import Any

import pytest

from bridge.telephony.pj_calls import PjCalls
from bridge.telephony.replaces import DialogId


class Slots:
    """The one function of PJSUA's that is asked: whose object is in a slot."""

    def __init__(self) -> None:
        self.objects: dict[int, int] = {}

        def look(slot: int) -> int | None:
            return self.objects.get(slot)

        self.pjsua_call_get_user_data = look


class Ended:
    """A call in a slot."""

    def __init__(self, slot: int, dialog: DialogId | None = None) -> None:
        self.slot = slot
        self.dialog = dialog
        self.invite = None
        self.freed = False

    def getId(self) -> int:
        return self.slot

    def free(self) -> None:
        self.freed = True


@pytest.fixture
def slots() -> Slots:
    return Slots()


def kept(slots: Slots) -> Any:  # Any: the library is a stand-in
    lib: Any = slots
    return PjCalls(lib)


def test_a_slot_that_another_call_has_keeps_the_object(slots: Slots) -> None:
    """Its destructor would take the other call's callbacks away, also while that one hangs up."""
    calls, call = kept(slots), Ended(0)
    calls.add(call)
    slots.objects[0] = 1
    calls.over(call)
    calls.drop_ended()
    assert not call.freed
    slots.objects.clear()
    calls.drop_ended()
    assert call.freed


def test_all_are_freed_whoever_knows_them(slots: Slots) -> None:
    calls, going_on, over = kept(slots), Ended(0), Ended(1)
    for call in (going_on, over):
        calls.add(call)
    slots.objects[1] = 1
    calls.over(over)
    calls.drop_all()
    assert [call.freed for call in (going_on, over)] == [True, True]


def test_a_call_that_goes_on_is_kept_though_nobody_else_knows_it(slots: Slots) -> None:
    calls, call = kept(slots), Ended(0)
    gone = weakref.ref(call)
    calls.add(call)
    del call
    calls.drop_ended()
    assert gone() is not None
    assert len(calls) == 1


def test_dialogs_are_found_while_they_go_on_and_remembered_after(slots: Slots) -> None:
    dialog = DialogId("a", "b", "c")
    calls, call = kept(slots), Ended(0, dialog)
    calls.add(call)
    assert calls.find(dialog) is call
    assert not calls.was(dialog)
    calls.over(call)
    assert calls.find(dialog) is None
    assert calls.was(dialog)
