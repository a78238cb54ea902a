"""Closes the calls of a dead node: a BYE to each caller, the record, an entry in the rollout."""

import asyncio
from collections.abc import Callable, Coroutine

from bridge.app.rollouts.in_force import Rollouts
from bridge.config.settings import Settings
from bridge.live.records.keeper import RecordKeeper
from bridge.live.records.lost import entry_of, summary_of
from bridge.sip.dialog import Dialog
from bridge.store.reader import History

EndLeft = Callable[[str, Dialog], Coroutine[object, object, None]]
"""Ends a call by its id and its dialog's facts."""


class LostCalls:
    """Says goodbye to their callers, writes their records, and counts them in their rollouts.

    Args:
        settings: where records go, which rollouts there are.
        end_left: :meth:`bridge.telephony.endpoint.SipEndpoint.end_left_call`.
        rollouts: returns this node's, None where it has none; ``records``: likewise.
    """

    def __init__(
        self,
        settings: Settings,
        end_left: EndLeft,
        rollouts: Callable[[], Rollouts | None],
        records: Callable[[], RecordKeeper | None],
    ) -> None:
        self._settings = settings
        self._end_left = end_left
        self._rollouts = rollouts
        self._records = records
        self._goodbyes: set[asyncio.Task[None]] = set()

    async def take(self, lost: History) -> None:
        """Do all that is due for one call; it has been ended in Redis."""
        self._say_goodbye(lost)
        flag = lost.fields.get("rollout", "")
        rollouts, entry = self._rollouts(), entry_of(lost, self._settings.rollouts.get(flag))
        if rollouts is not None and entry is not None:
            rollouts.lost(flag, entry)
        records = self._records()
        if records is not None and "ended_at" in lost.fields:  # else Redis has forgotten it
            await records.keep(summary_of(lost, self._settings.media.recordings_dir))

    async def aclose(self) -> None:
        """Stop waiting for callers' answers; before the endpoint stops."""
        for task in self._goodbyes:
            task.cancel()
        await asyncio.gather(*self._goodbyes, return_exceptions=True)

    def _say_goodbye(self, lost: History) -> None:
        dialog = Dialog.of_json(lost.fields.get("dialog", ""))
        if dialog is None:  # it was not answered yet
            return
        task = asyncio.create_task(self._end_left(lost.fields["call_id"], dialog))
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)
