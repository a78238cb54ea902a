"""Chooses between a script's text models and their stand-ins, and checks what is needed first."""

from collections.abc import Iterable, Iterator, Mapping

from bridge.errors import ConfigError
from bridge.replay.chat.client import read_key
from bridge.replay.script import CallScript, TextModel
from bridge.replay.script.files import ScriptFile


def with_stand_ins(script: CallScript) -> CallScript:
    """Return a script whose persona and judge are played by the words that it has for them."""
    changed: dict[str, object] = {}
    if script.persona is not None:
        changed["persona"] = script.persona.model_copy(
            update={"model": None, "transcription": None}
        )
    if script.judge is not None:
        changed["judge"] = script.judge.model_copy(update={"model": None})
    return script.model_copy(update=changed)


def text_models(script: CallScript) -> Iterator[tuple[str, TextModel]]:
    """Yield a script's text models, and where it names them."""
    named = []
    if script.persona is not None:
        named += [("persona.model", script.persona.model)]
        named += [("persona.transcription", script.persona.transcription)]
    if script.judge is not None:
        named += [("judge.model", script.judge.model)]
    yield from ((where, model) for where, model in named if model is not None)


def check_text_models(
    files: Iterable[ScriptFile], environ: Mapping[str, str], *, stand_ins: bool
) -> None:
    """Make sure, before any call, that every script has what makes up its words.

    Raises:
        ConfigError: a key is missing, or a stand-in has no replies.
    """
    for file in files:
        script, path = file.script, str(file.path)
        for what, part in (("persona", script.persona), ("judge", script.judge)):
            if stand_ins and part is not None and not part.script:
                raise ConfigError(
                    f"--stand-ins: its {what} has no script to play",
                    path=path,
                    remedy=f"add {what}.script, or leave --stand-ins out",
                )
        for where, model in text_models(with_stand_ins(script) if stand_ins else script):
            try:
                read_key(model, environ)
            except ConfigError as error:
                raise ConfigError(
                    f"{where}: {error.what}", path=path, remedy=error.remedy
                ) from None
