"""Every error that regioncache raises on purpose.

An error says what was asked, which file and record it concerns, what was expected, what was found and what to do.
Errors carry their parts as attributes, so that callers need not read the sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class RegioncacheError(Exception):
    """Base of all errors of this package; anything else that escapes is a bug of ours."""


class ConfigError(RegioncacheError):
    """A value of the configuration, the catalog or an argument cannot be used."""


class BadFileError(RegioncacheError):
    """A file is not what it should be.

    Args:
        path: the file.
        problem: what is wrong, as a short clause.
        expected: what was expected, if there is something to compare.
        found: what was found instead.
        remedy: what the user can do.
    """

    def __init__(
        self,
        path: Path | str,
        problem: str,
        *,
        expected: object = None,
        found: object = None,
        remedy: str | None = None,
    ) -> None:
        self.path = str(path)
        self.problem = problem
        self.expected = expected
        self.found = found
        self.remedy = remedy
        text = f"{path}: {problem}"
        if expected is not None or found is not None:
            text += f" (expected {expected}, found {found})"
        if remedy:
            text += f". {remedy}"
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the parts when the error crosses a process boundary (a DataLoader's worker)."""
        return _rebuild, (type(self), self.path, self.problem, self.expected, self.found, self.remedy)


def _rebuild(
    kind: type[BadFileError], path: str, problem: str, expected: object, found: object, remedy: str | None
) -> BadFileError:
    return kind(path, problem, expected=expected, found=found, remedy=remedy)


class ArchiveError(BadFileError):
    """An archive cannot be read, or holds a member that must not be read."""


class AnnotationError(BadFileError):
    """An annotation file as a whole cannot be used."""


class CacheError(BadFileError):
    """A cache, or one of its files, is missing, truncated, altered, or of another version."""


class TokenizerError(RegioncacheError):
    """A tokenizer cannot be loaded, or is not the one that a side-car was made with."""


class FetchError(RegioncacheError):
    """An archive could not be had from any of its mirrors."""


class DiskFullError(RegioncacheError, OSError):
    """The disk that holds the output is full; nothing half-written was left behind."""


class RejectBudgetError(RegioncacheError):
    """More records were rejected than the configuration allows."""


class BadRecordError(RegioncacheError):
    """One record cannot be converted; the converter turns it into a row of the rejects table.

    Args:
        reason: a code of ``regioncache.schema.REJECT_REASONS``.
        detail: what was expected and what was found.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")
