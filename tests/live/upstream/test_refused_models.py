"""Which model of an arm is tried first, by what was refused of late."""

from bridge.live.upstream.models import ArmModel, RefusedModels
from bridge.session.access import Access
from bridge.session.realtime import Endpoint
from bridge.session.tokens import DirectKey, FixedAccess

S = 1_000_000_000
NEW, OLD = "gpt-realtime-2.1", "gpt-realtime"


def test_model_that_is_back_is_noticed_by_one_call_at_a_time() -> None:
    new, old = (
        ArmModel(Endpoint("ws://h/", model), DirectKey(FixedAccess(Access())))
        for model in (NEW, OLD)
    )
    wanted, instead = (new, old), (old, new)
    memory = RefusedModels()
    assert memory.in_order(wanted, 0) == wanted
    memory.refused(NEW, 0)
    memory.gave_up(wanted)
    assert memory.in_order(wanted, 1 * S) == instead
    assert memory.in_order(wanted, 40 * S) == wanted  # the probe
    assert memory.in_order(wanted, 40 * S) == instead  # another call meanwhile
    memory.refused(NEW, 40 * S)
    memory.gave_up(wanted)
    assert memory.in_order(wanted, 80 * S) == instead  # longer, the second time
    assert memory.in_order(wanted, 101 * S) == wanted
    memory.gave_up(wanted)  # its caller hung up: the next call may probe
    assert memory.in_order(wanted, 101 * S) == wanted
    memory.works(NEW)
    assert memory.in_order(wanted, 101 * S) == wanted
