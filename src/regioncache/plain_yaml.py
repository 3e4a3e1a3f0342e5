"""Plain values from YAML files of users and strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_VALUES = 100_000  # of one file; the largest of the project has some hundred


def read_plain_yaml(path: Path, what: str) -> Any:  # noqa: ANN401  (whatever the file holds)
    """The values of a YAML file.

    Args:
        path: the file.
        what: what it should be, for the error.

    Raises:
        ConfigError: it cannot be read, is not YAML, or stands for more values than it can mean.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except Exception as error:  # (PyYAML raises whatever a bad date or number makes it meet)
        raise ConfigError(f"{path}: this {what} cannot be read: {error}") from error
    _check_extent(path, what, value)
    return value


def _check_extent(path: Path, what: str, value: Any) -> None:  # noqa: ANN401  (whatever the file holds)
    """Refuse a few lines of anchors and aliases that stand for millions of values, or for themselves."""
    left, seen = [value], 0
    while left:
        one = left.pop()
        seen += 1
        if seen > _MOST_VALUES:
            problem = f"expected at most {_MOST_VALUES} values, found more; anchors and aliases multiply them"
            raise ConfigError(f"{path}: this {what} cannot be read: {problem}")
        if isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list):
            left += one
