"""A file of variables, ``NAME=value`` a line, as ``.env`` files are written for shells and containers.

Values are taken as they stand: no ``$`` is expanded and no backslash is read, because tokens are full of signs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(r"^(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*)$", re.ASCII)
_QUOTED = re.compile(r"""^(?P<quote>['"])(?P<value>.*)(?P=quote)\s*(?:#.*)?$""")
_COMMENT = re.compile(r"(?:^|\s)#.*$")


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a file, none if there is no such file.

    Empty lines and lines that begin with ``#`` are passed over, and so is what follows `` #`` behind a value. Quotes
    around a value are taken off. The last of several lines for a name counts.

    Raises:
        ConfigError: a line is none of these; it is named by its number, because it may hold a secret.
    """
    if not path.exists():
        return {}
    variables: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _LINE.match(text)
        if found is None:
            raise ConfigError(f"{path}, line {number}: this is no `NAME=value`; correct it, or put a # before it")
        quoted = _QUOTED.match(found["value"])
        variables[found["name"]] = quoted["value"] if quoted else _COMMENT.sub("", found["value"]).strip()
    return variables
