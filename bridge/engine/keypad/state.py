"""The state of a call's menus and collected digits."""

from dataclasses import dataclass, field

from bridge.realtime.ids import ToolCallId
from bridge.routing.keypad import DigitsPolicy, MenuPolicy


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

    def begin(self, menu: MenuPolicy) -> None:
        """Have the keys of the first menu good, and its prompt be due."""
        self.menu, self.prompt_due = menu, menu.prompt is not None

    def go_to(self, menu: MenuPolicy) -> None:
        """Have another menu be the present one."""
        self.menu, self.prompts = menu, 0

    def take_prompt(self) -> str | None:
        """Return what is to be said of the present menu, whose choice is awaited from then on."""
        self.prompt_due = False
        if self.menu is None or self.menu.prompt is None:
            return None
        self.choosing = True
        self.prompts += 1
        return self.menu.prompt

    def await_no_choice(self) -> None:
        """Await no choice for the time being."""
        self.choosing = False

    def leave_menu(self) -> None:
        """Await no choice, and have no prompt be due; its keys stay good."""
        self.choosing = self.prompt_due = False

    @property
    def in_secret(self) -> bool:
        """Whether sensitive digits are being collected: nobody upstream hears the caller."""
        return self.collection is not None and self.collection.wanted.sensitive

    @property
    def awaits_key(self) -> bool:
        """Whether the caller is to press something, and has a time for it."""
        return self.choosing or self.collection is not None
