"""Records a call's disclosure, consent and emergencies."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from bridge.engine.effects import Effect
from bridge.engine.news import ConsentSettled, DisclosureSpoken, EmergencyHeard
from bridge.live.records.record import CallRecord
from bridge.live.records.summary import ConsentRecord
from bridge.live.services import Services
from bridge.telemetry.labels import PromptResult

log = structlog.get_logger(__name__)


class SafetyRecord:
    """Records one call's disclosure, consent and emergencies.

    Args:
        record: the call's.
        language: of what the bridge says in it.
    """

    def __init__(self, record: CallRecord, services: Services, language: str | None) -> None:
        self._record = record
        self._summary = record.summary
        self._metrics = services.metrics.calls
        self._store = services.store
        self._language = language

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are only recorded, here."""
        return MappingProxyType(
            {
                DisclosureSpoken: self._on_disclosed,
                ConsentSettled: self._on_consent,
                EmergencyHeard: self._on_emergency,
            }
        )

    def _on_disclosed(self, effect: DisclosureSpoken) -> None:
        consent = self._consent(effect.version)
        consent.disclosed_at_ms = self._record.wall_ms()
        self._note("told", effect.version)
        self._metrics.prompted(route=self._summary.route, result=PromptResult.HEARD)
        fields = {"version": effect.version, "language": consent.language}
        self._record.event("disclosure_spoken", fields)
        log.info("disclosure_spoken", version=effect.version)

    def _on_consent(self, effect: ConsentSettled) -> None:
        consent = self._consent(effect.version)
        consent.given, consent.how = effect.given, effect.how
        consent.settled_at_ms = self._record.wall_ms()
        result = "given" if effect.given else "refused"
        self._note(result, effect.version)
        self._metrics.prompted(route=self._summary.route, result=_result(effect))
        kind = f"consent_{result}"
        self._record.event(kind, {"how": effect.how, "version": effect.version})
        log.info(kind, how=effect.how, version=effect.version)

    def _on_emergency(self, effect: EmergencyHeard) -> None:
        route = self._summary.route
        self._summary.emergencies.append(effect.phrase)
        self._metrics.emergency(route=route)
        self._record.event("emergency_heard", {"phrase": effect.phrase})
        # Alerts outlive their calls, so they hold nothing of the caller's but the call's id.
        alert = {"route": route, "phrase": effect.phrase}
        self._store.alert(self._summary.call_id, "emergency_heard", alert)
        log.warning("emergency_heard", phrase=effect.phrase)

    def _consent(self, version: str) -> ConsentRecord:
        if self._summary.consent is None:
            self._summary.consent = ConsentRecord(version, self._language)
        return self._summary.consent

    def _note(self, state: str, version: str) -> None:
        fields = {"consent": state, "consent_version": version}
        self._store.update(self._summary.call_id, fields)


def _result(effect: ConsentSettled) -> PromptResult:
    if effect.given:
        return PromptResult.AGREED
    return PromptResult.NOT_SPOKEN if effect.how == "not_spoken" else PromptResult.REFUSED
