"""Records a caller's acts beside their words: keys, silences, holds, requests for a person."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import structlog

from bridge.engine.effects import Effect
from bridge.engine.news import (
    CallbackWanted,
    DigitsCollected,
    HumanAsked,
    MenuChosen,
    SilencePrompted,
)
from bridge.live.recording import Fields
from bridge.live.records.summary import CallSummary
from bridge.redaction.turns import Redactor
from bridge.telemetry.labels import DtmfResult
from bridge.telemetry.metrics import Metrics
from bridge.telephony.keys import KeyPress

log = structlog.get_logger(__name__)


class CallerRecord:
    """Records one call's caller.

    Args:
        record: puts an event into the call's record.
        summary: where their wishes are put down.
        metrics: counts keys, and who asks for a person.
        redactor: of their words.
    """

    def __init__(
        self,
        record: Callable[[str, Fields], None],
        summary: CallSummary,
        metrics: Metrics,
        redactor: Redactor,
    ) -> None:
        self._record = record
        self._summary = summary
        self._metrics = metrics
        self._redactor = redactor
        self._held = False

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are only recorded, here."""
        return MappingProxyType(
            {
                SilencePrompted: self._on_prompted,
                MenuChosen: self._on_menu_chosen,
                DigitsCollected: self._on_digits_collected,
                HumanAsked: self._on_human_asked,
                CallbackWanted: self._on_callback_wanted,
            }
        )

    def key(self, press: KeyPress) -> bool:
        """Count a key; return whether it is a new one. Which key it is stands nowhere."""
        result = DtmfResult.IGNORED if press.repeated else DtmfResult.ACCEPTED
        self._metrics.media.digit(press.method, result)
        if not press.repeated:
            self._record("digit", {"method": press.method})
        return not press.repeated

    def held(self, *, held: bool) -> None:
        """Note that the caller put the call on hold, or took it back."""
        if held is not self._held:
            self._held = held
            self._record("caller_held" if held else "caller_resumed", {})

    def _on_prompted(self, effect: SilencePrompted) -> None:
        self._record("caller_silent", {"step": effect.step})
        log.info("caller_silent", step=effect.step)

    def _on_menu_chosen(self, effect: MenuChosen) -> None:
        self._record(
            "menu_chosen", {"menu": effect.menu, "key": effect.key if effect.known else ""}
        )
        log.info("menu_chosen", menu=effect.menu, known=effect.known)

    def _on_digits_collected(self, effect: DigitsCollected) -> None:
        fields: dict[str, str | int | None] = {
            "name": effect.name,
            "count": effect.count,
            "sensitive": int(effect.sensitive),
            "ended_by": effect.ended_by,
        }
        self._record("digits_collected", fields)
        log.info("digits_collected", **fields)

    def _on_human_asked(self, effect: HumanAsked) -> None:
        self._metrics.calls.human_asked(effect.by, granted=effect.granted)
        self._record("human_asked", {"by": effect.by, "granted": int(effect.granted)})
        log.info("human_asked", by=effect.by, granted=effect.granted)

    def _on_callback_wanted(self, effect: CallbackWanted) -> None:
        wanted = {"when": effect.when, "number": effect.number, "text": effect.reason}
        self._record("callback_wanted", wanted)
        reason = effect.reason and self._redactor.redact(effect.reason)
        self._summary.callbacks.append({**asdict(effect), "reason": reason})
        log.info("callback_wanted")
