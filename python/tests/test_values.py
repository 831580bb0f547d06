"""Values of Python in C and back, without any job."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from drmaa2 import (
    NOW,
    CpuArchitecture,
    InvalidArgument,
    Job,
    JobArray,
    JobInfo,
    JobState,
    JobTemplate,
    OperatingSystem,
    Reservation,
    ReservationTemplate,
    SlotInfo,
    describe_attribute,
)
from drmaa2._struct import Struct, layout

MOMENT = datetime(2031, 5, 6, 7, 8, 9, tzinfo=timezone.utc)


def there_and_back(value: Any) -> Any:
    with value.lend() as address:
        return type(value).read(address)


def filled(cls: type[Struct]) -> dict[str, Any]:
    """A value of its own for each attribute."""
    values: dict[str, Any] = {}
    for position, (name, _) in enumerate(layout(cls).kinds, 100):
        annotation = cls.__annotations__[name]
        if "Mapping" in annotation:
            values[name] = {f"key {position}": f"value {position}", "": "empty"}
        elif "SlotInfo" in annotation:
            values[name] = None
        elif "Sequence" in annotation:
            values[name] = [f"{name} {index}" for index in range(3)]
        elif "bool" in annotation:
            values[name] = True
        elif "Moment" in annotation or "datetime" in annotation:
            values[name] = MOMENT + timedelta(seconds=position)
        elif "Span" in annotation or "timedelta" in annotation:
            values[name] = timedelta(seconds=position)
        elif "JobState" in annotation:
            values[name] = JobState.SUSPENDED
        elif "OperatingSystem" in annotation:
            values[name] = OperatingSystem.LINUX
        elif "CpuArchitecture" in annotation:
            values[name] = CpuArchitecture.PPC64LE
        elif "int" in annotation:
            values[name] = position
        else:
            values[name] = f"{name} über {position}"
    return values


@pytest.mark.parametrize("cls", [JobTemplate, JobInfo, ReservationTemplate])
def test_every_attribute(cls: type[Struct]) -> None:
    values = filled(cls)
    value = cls(**values)
    assert there_and_back(value) == value
    for name, one in values.items():
        alone = cls(**{name: one})
        assert there_and_back(alone) == alone


@pytest.mark.parametrize("cls", [JobTemplate, JobInfo, ReservationTemplate])
def test_unset(cls: type[Struct]) -> None:
    assert there_and_back(cls()) == cls()


def test_implementation_specific() -> None:
    template = JobTemplate()
    names = template.implementation_specific_names()
    assert "containerd_jt_network" in names
    for name in names:
        template.implementation_specific[name] = f"of {name}"
        assert describe_attribute(name)
    assert there_and_back(template) == template
    assert JobInfo.implementation_specific_names()
    assert ReservationTemplate.implementation_specific_names() == []
    template.implementation_specific["nonsense"] = "1"
    with pytest.raises(InvalidArgument, match="nonsense"), template.lend():
        pass
    with pytest.raises(InvalidArgument, match="nonsense"):
        describe_attribute("nonsense")


def test_text() -> None:
    # Python's own way with bytes that are no UTF-8.
    raw = b"caf\xe9 \xff"
    template = JobTemplate(
        remote_command=raw,
        args=["größer ≥ 😀", raw, ""],
        working_directory=Path("/tmp") / "there",
        job_environment={"Ä": raw, "B": Path("/b")},
    )
    back = there_and_back(template)
    assert back.remote_command.encode("utf-8", "surrogateescape") == raw
    assert back.args == ["größer ≥ 😀", back.remote_command, ""]
    assert back.working_directory == "/tmp/there"
    assert back.job_environment == {"Ä": back.remote_command, "B": "/b"}
    assert there_and_back(back) == back


@pytest.mark.parametrize(
    "attributes",
    [
        {"job_name": "a\0b"},
        {"args": ["good", "a\0b"]},
        {"job_environment": {"good": "good", "a\0b": "1"}},
        {"job_environment": {"good": "good", "a": "\ud800"}},
        {"min_slots": 1 << 63},
        {"start_time": 1 << 63},
        {"start_time": float("nan")},
        {"start_time": -0.5},
        {"start_time": datetime(1969, 1, 1, tzinfo=timezone.utc)},
    ],
)
def test_values_that_make_no_sense(attributes: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument), JobTemplate(**attributes).lend():
        pass


@pytest.mark.parametrize(
    "attributes", [{"args": "one string"}, {"min_slots": "2"}, {"job_name": 1}, {"args": [None]}]
)
def test_values_of_a_wrong_type(attributes: dict[str, Any]) -> None:
    with pytest.raises(TypeError), JobTemplate(**attributes).lend():
        pass


def test_names_that_are_wrong() -> None:
    with pytest.raises(TypeError):
        JobTemplate(comand="true")  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        JobTemplate().comand = "true"  # type: ignore[attr-defined]


def test_moments() -> None:
    local = datetime.fromtimestamp(2_000_000_000)
    assert there_and_back(JobTemplate(start_time=local)).start_time == local.astimezone()
    assert there_and_back(JobTemplate(start_time=2_000_000_000.9)).start_time == local.astimezone()
    assert there_and_back(JobTemplate(start_time=NOW)).start_time == NOW
    assert there_and_back(JobTemplate(deadline_time=-1)).deadline_time == -1
    far = 1 << 60
    assert there_and_back(JobTemplate(start_time=far)).start_time == far


def test_spans() -> None:
    assert there_and_back(ReservationTemplate(duration=90)).duration == timedelta(seconds=90)
    assert there_and_back(ReservationTemplate(duration=1.2)).duration == timedelta(seconds=2)
    with pytest.raises(InvalidArgument), ReservationTemplate(duration=timedelta(seconds=-1)).lend():
        pass


def test_numbers_as_limits() -> None:
    assert there_and_back(JobTemplate(resource_limits={"CPU_TIME": 7})).resource_limits == {"CPU_TIME": "7"}


@pytest.mark.parametrize("cls", [Job, JobArray, Reservation])
@pytest.mark.parametrize("session", ["session", None])
def test_handles_are_values(cls: Any, session: str | None) -> None:
    handle = cls("id", session)
    for other in (copy.copy(handle), copy.deepcopy(handle), pickle.loads(pickle.dumps(handle))):
        assert other == handle
        assert hash(other) == hash(handle)
        assert type(other) is cls
    assert handle != cls("other", session)
    with pytest.raises(AttributeError):
        handle.id = "other"


def test_values_are_pickled() -> None:
    template = JobTemplate(**filled(JobTemplate))
    template.implementation_specific["containerd_jt_network"] = "host"
    assert pickle.loads(pickle.dumps(template)) == template
    info = JobInfo(allocated_machines=[SlotInfo("here", 2)], job_state=JobState.DONE)
    assert pickle.loads(pickle.dumps(info)) == info
