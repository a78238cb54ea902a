"""Chooses between a script's text models and their stand-ins, and checks what is needed first."""

from collections.abc import Iterable, Iterator, Mapping

from bridge.errors import ConfigError
from bridge.replay.chat.client import read_key
from bridge.replay.scene import ScriptFile
from bridge.replay.script import CallScript, TextModel


def with_stand_ins(script: CallScript) -> CallScript:
    """Return a script whose persona is played by the replies that it has."""
    if script.persona is None:
        return script
    persona = script.persona.model_copy(update={"model": None})
    return script.model_copy(update={"persona": persona})


def check_text_models(
    files: Iterable[ScriptFile], environ: Mapping[str, str], *, stand_ins: bool
) -> None:
    """Make sure, before any call, that every script has what makes up its words.

    Raises:
        ConfigError: a key is missing, or a stand-in has no replies.
    """
    for file in files:
        script, path = file.script, str(file.path)
        if stand_ins and script.persona is not None and not script.persona.script:
            raise ConfigError(
                "--stand-ins: its persona has no script to play",
                path=path,
                remedy="add persona.script, or leave --stand-ins out",
            )
        for model in _models(with_stand_ins(script) if stand_ins else script):
            try:
                read_key(model, environ)
            except ConfigError as error:
                raise ConfigError(error.what, path=path, remedy=error.remedy) from None


def _models(script: CallScript) -> Iterator[TextModel]:
    if script.persona is not None:
        yield from (m for m in (script.persona.model, script.persona.transcription) if m)
