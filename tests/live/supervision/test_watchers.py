"""Who is told to watch a call: by name, while they do, and nobody who does it privately."""

import asyncio
from collections.abc import Mapping

from bridge.live.supervision.watchers import Watchers
from bridge.telephony.audience import Listener
from tests.support.waiting import wait_until


class Told(list[Mapping[str, str]]):
    """What was told, in turn; and who is there."""

    def __init__(self) -> None:
        super().__init__()
        self.here: list[Listener] = []

    def watchers(self, coached_s: float = 60.0) -> Watchers:
        return Watchers(lambda: self.here, self.append, coached_s=coached_s)


async def test_names_come_and_go_each_once() -> None:
    told = Told()
    watchers = told.watchers()
    told.here = [Listener(0, "ann"), Listener(0, "ann"), Listener(0, "sam")]
    watchers.changed()
    watchers.changed()
    told.here = told.here[1:2]
    watchers.changed()
    told.here = []
    watchers.changed()
    assert told == [{"ann": "listens", "sam": "listens"}, {"ann": "listens"}, {}]


async def test_who_listens_privately_is_told_to_nobody() -> None:
    told = Told()
    watchers = told.watchers()
    told.here = [Listener(0, "ada", private=True)]
    watchers.changed()
    assert told == []
    told.here.append(Listener(0, "sam"))
    watchers.changed()
    assert told == [{"sam": "listens"}]


async def test_whisper_has_its_name_for_a_while() -> None:
    told = Told()
    watchers = told.watchers(coached_s=0.05)
    told.here = [Listener(0, "sam"), Listener(0, "ada", private=True)]
    watchers.acted("sam", "whisper")
    watchers.acted("ada", "whisper")
    await wait_until(lambda: told[-1] == {"sam": "listens"}, "they whisper for ever")
    assert told[:2] == [{"sam": "whispers"}, {"sam": "whispers", "ada": "whispers"}]


async def test_call_that_is_over_tells_nothing_and_waits_for_nothing() -> None:
    told = Told()
    watchers = told.watchers(coached_s=0.0)
    told.here = [Listener(0, "sam")]
    watchers.acted("sam", "whisper")
    watchers.close()
    watchers.acted("sam", "whisper")
    watchers.changed()
    await asyncio.sleep(0.01)
    assert told == [{"sam": "whispers"}]


async def test_words_that_the_caller_hears_are_no_whisper() -> None:
    told = Told()
    watchers = told.watchers()
    watchers.acted("sam", "whisper")
    watchers.acted("sam", "say")
    watchers.acted("ada", "flag")
    watchers.close()
    assert told == [{"sam": "whispers"}, {"sam": "says"}]
