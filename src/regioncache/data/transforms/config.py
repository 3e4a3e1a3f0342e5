"""Transforms from plain values, as YAML or JSON gives them."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from regioncache.data.transforms.compose import Compose, Transform
from regioncache.data.transforms.crop import MinIoURandomCrop, RandomCrop
from regioncache.data.transforms.filter import FilterAnnotations, LimitRegions
from regioncache.data.transforms.flip import RandomFlip
from regioncache.data.transforms.jitter import LargeScaleJitter
from regioncache.data.transforms.normalize import Normalize
from regioncache.data.transforms.pad import Pad
from regioncache.data.transforms.photometric import PhotoMetricDistortion
from regioncache.data.transforms.resize import RandomChoiceResize, RandomResize, Resize
from regioncache.data.transforms.sam import LowResMasks, SamInput
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from regioncache.data.sample_dicts import FrameName

TRANSFORMS: dict[str, type[Transform]] = {
    "FilterAnnotations": FilterAnnotations,
    "LargeScaleJitter": LargeScaleJitter,
    "LimitRegions": LimitRegions,
    "LowResMasks": LowResMasks,
    "MinIoURandomCrop": MinIoURandomCrop,
    "Normalize": Normalize,
    "Pad": Pad,
    "PhotoMetricDistortion": PhotoMetricDistortion,
    "RandomChoiceResize": RandomChoiceResize,
    "RandomCrop": RandomCrop,
    "RandomFlip": RandomFlip,
    "RandomResize": RandomResize,
    "Resize": Resize,
    "SamInput": SamInput,
}


def transforms_from_config(
    steps: Sequence[Any], *, frame: FrameName = "sam", region_keys: Sequence[str] = (), image_keys: Sequence[str] = ()
) -> Compose:
    """The transforms that a configuration lists.

    A step is a transform's name, or a mapping of one name to its arguments::

        - RandomResize: {scale: [[1333, 480], [1333, 800]], keep_ratio: true}
        - RandomFlip: {prob: 0.5, side_words: skip}
        - RandomCrop: {crop_size: [0.6, 0.6], crop_type: relative_range}
        - PhotoMetricDistortion

    Args:
        steps: the steps in order, plain values.
        frame: see ``Compose``.
        region_keys: see ``Compose``.
        image_keys: see ``Compose``.

    Raises:
        ConfigError: an unknown transform or argument, or a value of the wrong type or out of range; the message names the
            step's number, transform and argument.
    """
    if not isinstance(steps, Sequence) or isinstance(steps, str | bytes):
        raise ConfigError(f"transforms: expected a list of steps, found {type(steps).__name__}")
    made = [_step(entry, f"transforms[{position}]") for position, entry in enumerate(steps)]
    return Compose(tuple(made), frame, tuple(region_keys), tuple(image_keys))


def _step(entry: object, place: str) -> Transform:
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, arguments),) = entry.items()
    else:
        name, arguments = entry, None
    if not isinstance(name, str):
        raise ConfigError(f"{place}: expected a transform's name, or one name with its arguments, found {entry!r}")
    if name not in TRANSFORMS:
        raise ConfigError(f"{place}: there is no transform {name!r}; there are {', '.join(TRANSFORMS)}")
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, Mapping):
        raise ConfigError(f"{place} ({name}): expected a mapping of arguments, found {arguments!r}")
    kind = TRANSFORMS[name]
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind) if hints[field.name] is not Any]  # type: ignore[arg-type]  # all are dataclasses
    unknown = [key for key in arguments if key not in known]
    if unknown:
        raise ConfigError(f"{place} ({name}): there is no argument {unknown[0]!r} here; there are {', '.join(known) or 'none'}")
    values = {key: _converted(value, hints[key], f"{place} ({name}): {key}") for key, value in arguments.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error
    except TypeError as error:  # an argument that has no default is missing
        raise ConfigError(f"{place} ({name}): {error}") from error


def _converted(value: Any, hint: Any, place: str) -> Any:  # noqa: ANN401  (any plain value, any type hint)
    """A plain value as its type hint wants it: lists become tuples."""
    found = _matched(value, hint)
    if found is _NO_MATCH:
        raise ConfigError(f"{place}: expected {_described(hint)}, found {value!r}")
    return found


_NO_MATCH = object()


def _matched(value: Any, hint: Any) -> Any:  # noqa: ANN401  (any plain value, any type hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return next((found for one in inner if (found := _matched(value, one)) is not _NO_MATCH), _NO_MATCH)
    if origin is Literal:
        return value if isinstance(value, str) and value in inner else _NO_MATCH
    if origin is tuple:
        return _matched_items(value, inner)
    if hint is float:
        return value if isinstance(value, int | float) and not isinstance(value, bool) else _NO_MATCH
    if hint is int and isinstance(value, bool):
        return _NO_MATCH
    return value if isinstance(value, hint) else _NO_MATCH


def _matched_items(value: Any, inner: tuple[Any, ...]) -> Any:  # noqa: ANN401  (any plain value)
    if not isinstance(value, list | tuple):
        return _NO_MATCH
    hints = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
    if len(hints) != len(value):
        return _NO_MATCH
    found = tuple(_matched(one, hint) for one, hint in zip(value, hints, strict=True))
    return _NO_MATCH if any(one is _NO_MATCH for one in found) else found


def _described(hint: Any) -> str:  # noqa: ANN401  (any type hint)
    """A type hint in words."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_described(one) for one in inner))
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple:
        parts = [_described(inner[0]), "..."] if inner[-1] is Ellipsis else [_described(one) for one in inner]
        return f"[{', '.join(parts)}]"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", types.NoneType: "nothing"}
    return words.get(hint, str(hint))
