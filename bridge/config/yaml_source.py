"""YAML files whose every mistake is reported with file and line.

The composed node tree is kept beside the data, so a complaint about a value finds the line where
the person wrote it. Lines count from 1. Reading a file is the only I/O.
"""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from bridge.config.complaints import Location, explain
from bridge.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

_MERGE_TAG = "tag:yaml.org,2002:merge"


class YamlSource:
    """A YAML document and the place of each part of it.

    Args:
        path: file that it came from, for messages.
        text: the document.

    Raises:
        ConfigError: on a syntax error, a duplicate key or an alias to itself.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        try:
            loader = yaml.SafeLoader(text)
            self._root: yaml.Node | None = loader.get_single_node()
            if self._root is not None:
                self._check_tree(self._root)
            self.data: object = loader.construct_document(self._root) if self._root else None
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from error
        except (yaml.YAMLError, ValueError) as error:
            # ValueError: a scalar that looks like a date or number and is none (2026-13-45).
            what = " ".join(str(error).split())
            raise ConfigError(f"is not YAML: {what}", path=str(path)) from error

    def line(self, location: Location) -> int:
        """Return the line of the last part of ``location`` that stands in the document.

        Args:
            location: keys and positions; parts that aren't there (a missing field, a union's tag
                put in by pydantic) are passed over, so a missing field gives its mapping's line.
        """
        node = self._root
        line = node.start_mark.line if node is not None else 0
        for part in location:
            step = _child(node, part)
            if step is not None:
                line, node = step
        return line + 1

    def complain(self, what: str, location: Location = (), *, remedy: str = "") -> ConfigError:
        """Make the error to raise about something at ``location``."""
        return ConfigError(what, path=str(self.path), line=self.line(location), remedy=remedy)

    def parse(self, model: type[M]) -> M:
        """Validate the document as ``model``.

        Raises:
            ConfigError: with every mistake, in the order of the lines; ``path`` and ``line`` are
                the first one's, each further one is a line ``file:line: what`` of the text.
        """
        if self._root is None:
            raise self.complain("the file is empty")
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            found = sorted(
                ((self.line(location), what) for location, what in explain(error, model)),
                key=lambda each: each[0],
            )
            # Not chained: pydantic's own text repeats the values, secrets and numbers among them.
            raise self._combined(found) from None

    def _combined(self, found: list[tuple[int, str]]) -> ConfigError:
        (first_line, first), *others = found
        rest = "".join(f"\n{self.path}:{line}: {what}" for line, what in others)
        return ConfigError(first + rest, path=str(self.path), line=first_line)

    def _check_tree(self, root: yaml.Node) -> None:
        """Refuse duplicate keys, which PyYAML overwrites in silence, and recursive aliases."""
        found: list[tuple[int, str]] = []
        done: set[int] = set()
        open_ids: set[int] = set()

        def visit(node: yaml.Node) -> None:
            if id(node) in open_ids:
                found.append((node.start_mark.line + 1, "an alias refers to itself"))
                return
            if id(node) in done:
                return
            open_ids.add(id(node))
            found.extend(_duplicates(node))
            for child in _children(node):
                visit(child)
            open_ids.discard(id(node))
            done.add(id(node))

        visit(root)
        if found:
            raise self._combined(sorted(found))

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> ConfigError:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        aliases = "while scanning an alias" in what
        return ConfigError(
            f"is not YAML: {what}",
            path=str(self.path),
            line=mark.line + 1 if mark else None,
            remedy="a value that starts with * must be in quotes" if aliases else "",
        )


def load_yaml(path: Path) -> YamlSource:
    """Read one YAML document.

    Raises:
        ConfigError: the file can't be read, isn't UTF-8, or isn't YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=str(path)) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text", path=str(path), line=line) from error
    return YamlSource(path, text)


def load_yaml_model(path: Path, model: type[M]) -> M:
    """Read one YAML file as ``model``.

    Raises:
        ConfigError: as :func:`load_yaml` and :meth:`YamlSource.parse`.
    """
    return load_yaml(path).parse(model)


def _child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    """Find one more key or position: (line from 0 of the key or item, its value)."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line, item
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(part):
                return key.start_mark.line, value
        return next((step for each in _merged(node) if (step := _child(each, part))), None)
    return None


def _merged(node: yaml.MappingNode) -> list[yaml.Node]:
    """Return the mappings that ``<<`` brings in."""
    values = [value for key, value in node.value if key.tag == _MERGE_TAG]
    return [
        each
        for value in values
        for each in (value.value if isinstance(value, yaml.SequenceNode) else [value])
    ]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _duplicates(node: yaml.Node) -> list[tuple[int, str]]:
    if not isinstance(node, yaml.MappingNode):
        return []
    found = []
    first: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line = key.start_mark.line + 1
        if (key.tag, key.value) in first:
            where = first[key.tag, key.value]
            found.append((line, f"the key '{key.value}' is given twice (first on line {where})"))
        first.setdefault((key.tag, key.value), line)
    return found
