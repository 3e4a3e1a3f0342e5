"""What is wrong with a catalog entry: the key path, the rule and the value found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


def explain(value: Any, error: msgspec.ValidationError, sections: Mapping[str, Any], choices: Mapping[str, Any]) -> str:  # noqa: ANN401  (whatever the YAML file holds)
    """One sentence on why a value is refused. msgspec writes ``[...]`` for the key of a mapping: find that key.

    Args:
        value: the entry as it was read.
        error: why it is refused.
        sections: the type of the values of each mapping with keys of the user's own, by the mapping's key.
        choices: the ``Literal`` of each key that has one.
    """
    rule, _, at = str(error).partition(" - at `")
    at = at.rstrip("`")
    if at.startswith("key"):  # the offender is a key of a mapping, such as: key in `$.archives`
        at = at.partition("`")[2]
    keys: list[str] = []
    for name, index, some_key in re.findall(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])", at):
        if some_key:
            key = _offending_key(value, sections[keys[-1]])
            keys.append(key)
            value = value[key]
        elif index:
            keys[-1] += f"[{index}]"
            value = value[int(index)]
        else:
            keys.append(name)
            value = value[name]
    if rule.startswith("Invalid enum value") and keys[-1] in choices:
        rule = f"Expected one of {', '.join(get_args(choices[keys[-1]]))}"
    shown = repr(value)
    if isinstance(value, dict):
        shown = f"a mapping with the keys {', '.join(map(str, value))}" if value else "a mapping with no key"
    return f"{'.'.join(keys) or 'the whole file'}: {rule}, found {shown}"


def _offending_key(entries: Mapping[str, Any], kind: Any) -> str:  # noqa: ANN401  (any type)
    """The first entry of a section that alone breaks a rule; msgspec stops there too."""
    for key, value in entries.items():
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return key
    raise AssertionError("every entry of the section is valid alone, yet together they are not")
