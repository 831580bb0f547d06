"""Moments, spans and waiting times: ``datetime``, ``timedelta`` and plain seconds."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import SupportsIndex

from .errors import InvalidArgument

#: A moment: a ``datetime`` (a naive one is local time), seconds since the epoch, or a constant.
Moment = datetime | int | float
#: A span, or a waiting time: a ``timedelta``, seconds, or a constant.
Span = timedelta | int | float

#: "No value", in C.
UNSET_TIME = -3


def moment(seconds: int) -> datetime | int:
    """What C tells, as ``datetime`` in UTC; a constant, or what is too far away, stays a number."""
    if seconds < 0:
        return seconds
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return seconds


def moment_to_c(value: Moment) -> int:
    """Whole seconds since the epoch; the fraction is cut off, as in all times that C tells."""
    if not isinstance(value, datetime):
        return _whole(value, math.floor)
    seconds = math.floor(value.timestamp())
    if seconds < 0:
        raise InvalidArgument(f"{value} is before the epoch")
    return seconds


def span(seconds: int) -> timedelta:
    """What C tells."""
    return timedelta(seconds=seconds)


def span_to_c(value: Span) -> int:
    """Whole seconds, at least as long."""
    if not isinstance(value, timedelta):
        return _whole(value, math.ceil)
    if value < timedelta():
        raise InvalidArgument(f"{value} is negative")
    return math.ceil(value.total_seconds())


def number_to_c(value: SupportsIndex, bits: int = 64) -> int:
    """A whole number that C can hold."""
    number = operator.index(value)
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise InvalidArgument(f"{number} is too large for {bits} bits")
    return number


def _whole(seconds: float, whole: Callable[[float], int]) -> int:
    """A number of seconds. A negative one must be a constant, and none is made by rounding."""
    if not math.isfinite(seconds) or (seconds < 0 and seconds != math.floor(seconds)):
        raise InvalidArgument(f"{seconds} is no time")
    return number_to_c(whole(seconds))
