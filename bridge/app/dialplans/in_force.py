"""The dialplans in force at one node, and others in their place while it runs."""

from collections.abc import Mapping

from bridge.app.dialplans.arms import today_of, warn_of_dropped_fields, warn_of_templates
from bridge.app.dialplans.plans import Dialplans, Plans
from bridge.clock import Clock
from bridge.config.models import ModelTable
from bridge.config.settings import Settings
from bridge.live.phrases import Phrases
from bridge.live.services import Arm
from bridge.telemetry.metrics import Metrics


class DialplansInForce:
    """Keeps the dialplans of new calls, with their phrases at hand.

    Args:
        dialplans: those to begin with.
        settings: have all arms that dialplans name.
        arms: by name.
        models: their table.
        clock: says which models are still there.
        metrics: publishes what is in force.

    Attributes:
        plans: those in force.
        phrases: what the bridge says in them.
        secrets: of their tools, by environment variable; changed in place, and those of dialplans
            that were replaced stay: calls go on that use them.

    Raises:
        ConfigError: an arm's model lacks a dialplan's voice.
    """

    def __init__(
        self,
        dialplans: Dialplans,
        settings: Settings,
        arms: Mapping[str, Arm],
        models: ModelTable,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._arms = arms
        self._models = models
        self._clock = clock
        self._metrics = metrics
        self.plans = self._make_plans(dialplans)
        self.phrases = Phrases()
        self.secrets = dict(dialplans.secrets)

    def warn(self) -> None:
        """Name the session fields of theirs that an arm's dialect can't express, or soon won't."""
        self._warn(self.plans)

    async def render(self) -> None:
        """Render their phrases."""
        await self.phrases.render(self.plans.on_arms)

    async def replace(self, dialplans: Dialplans) -> None:
        """Put others in force for new calls, once their phrases are rendered.

        Raises:
            ConfigError: an arm's model lacks a dialplan's voice; those in force stay.
        """
        plans = self._make_plans(dialplans)
        await self.phrases.render(plans.on_arms)
        self._warn(plans)
        self.secrets.update(dialplans.secrets)
        self.plans = plans
        self.phrases.keep_only(plans.on_arms)
        self.publish()

    def publish(self) -> None:
        """Publish in the metrics that they are in force."""
        for dialplan in self.plans.dialplans:
            if dialplan.consent.disclosure is not None:
                self._metrics.calls.expect_prompts(route=dialplan.name)
        self._metrics.config_loaded(self._clock.wall_ns())

    def _warn(self, plans: Plans) -> None:
        warn_of_dropped_fields(plans.routes)
        warn_of_templates(plans.dialplans, self._settings)

    def _make_plans(self, dialplans: Dialplans) -> Plans:
        today = today_of(self._clock)
        return Plans(dialplans, self._arms, self._settings, self._models, today)
