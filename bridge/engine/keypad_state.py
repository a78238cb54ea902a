"""The state of a call's menus and collected digits."""

from dataclasses import dataclass, field

from bridge.engine.keypad_policy import DigitsPolicy, MenuPolicy
from bridge.realtime.ids import ToolCallId


@dataclass(slots=True)
class Collection:
    """Digits that are being collected.

    Attributes:
        call_id: the model's tool call.
        prompts: said so far.
    """

    wanted: DigitsPolicy
    call_id: ToolCallId
    digits: str = field(default="", repr=False)
    prompts: int = 0


@dataclass(slots=True)
class KeypadState:
    """Menus, digits, secrets.

    Attributes:
        menu: whose keys are good.
        prompt_due: its prompt was not said yet.
        choosing: its prompt was said, and a choice is awaited.
        prompts: said of it so far.
        secrets: sensitive digits by the reference that the model has in their place.
    """

    menu: MenuPolicy | None = None
    prompt_due: bool = False
    choosing: bool = False
    prompts: int = 0
    collection: Collection | None = None
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def in_secret(self) -> bool:
        """Whether sensitive digits are being collected: nobody upstream hears the caller."""
        return self.collection is not None and self.collection.wanted.sensitive

    @property
    def awaits_key(self) -> bool:
        """Whether the caller is to press something, and has a time for it."""
        return self.choosing or self.collection is not None
