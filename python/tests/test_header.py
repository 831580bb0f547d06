"""The package says what the C header says: structs, numbers, functions."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

import pytest

import drmaa2
from drmaa2 import _handle, _lib, _memory, _struct, constants, errors


def header(name: str) -> str:
    """A header without its comments."""
    text = (Path(__file__).parents[2] / "include" / name).read_text()
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


HEADER = header("drmaa2.h")
NUMBERS = {
    "drmaa2_bool": ctypes.c_int,
    "drmaa2_jstate": ctypes.c_int,
    "drmaa2_os": ctypes.c_int,
    "drmaa2_cpu": ctypes.c_int,
    "drmaa2_event": ctypes.c_int,
    "int": ctypes.c_int,
    "long long": ctypes.c_longlong,
    "time_t": ctypes.c_long,
    "float": ctypes.c_float,
}
STRUCTS = [
    *(drmaa2.JobTemplate, drmaa2.JobInfo, drmaa2.ReservationTemplate, drmaa2.ReservationInfo),
    *(drmaa2.SlotInfo, drmaa2.QueueInfo, drmaa2.MachineInfo, drmaa2.Version, drmaa2.Notification),
]
#: Not needed where the handles are values and the collections are Python's.
UNUSED = re.compile(
    r"drmaa2_(list_del|dict_has|dict_del|.*_default_callback|(j|jarray|r)_get_(id|session_name)|"
    r"(slotinfo|queueinfo|machineinfo)_free)"
)


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def members(kind: str) -> list[tuple[str, Any]]:
    """Names and types of the members of a struct in the header."""
    body = re.search(rf"struct drmaa2_{kind}_s {{(.*?)}}", HEADER, re.DOTALL)
    assert body, kind
    found = re.findall(r"([\w ]+?) ?\*?(\w+);", body[1])
    return [(name, NUMBERS.get(kind.strip(), ctypes.c_void_p)) for kind, name in found]


@pytest.mark.parametrize("cls", STRUCTS)
def test_structs(cls: type[_struct.Struct]) -> None:
    wanted = members(cls._kind)
    assert wanted.pop()[0] == "implementationSpecific"
    kinds = _struct.layout(cls).kinds
    assert [(name, kind.ctype) for name, kind in kinds] == [(snake(name), ctype) for name, ctype in wanted]


@pytest.mark.parametrize(
    "kind, layout", [("j", _handle._Named), ("r", _handle._Named), ("jarray", _handle.NamedArray)]
)
def test_handles(kind: str, layout: type[ctypes.Structure]) -> None:
    names = [name for name, *_ in layout._fields_]
    wanted = [name for name, _ in members(kind)]
    assert names[: len(wanted)] == wanted


def enumerators(name: str) -> dict[str, int]:
    body = re.search(rf"enum drmaa2_{name} {{(.*?)}}", HEADER, re.DOTALL)
    assert body, name
    found = re.findall(r"DRMAA2_(\w+) = (-?\d+)", body[1])
    return {name: int(number) for name, number in found if int(number) != -1}


@pytest.mark.parametrize(
    "name, enum",
    [
        ("jstate", drmaa2.JobState),
        ("os", drmaa2.OperatingSystem),
        ("cpu", drmaa2.CpuArchitecture),
        ("event", drmaa2.Event),
        ("capability", drmaa2.Capability),
    ],
)
def test_enums(name: str, enum: Any) -> None:
    assert {member.name: member.value for member in enum} == enumerators(name)


def test_list_types() -> None:
    kinds = enumerators("listtype")
    assert (kinds["STRINGLIST"], kinds["JOBLIST"]) == (_memory.STRING_LIST, _memory.JOB_LIST)


def test_errors() -> None:
    codes = enumerators("error")
    del codes["SUCCESS"], codes["LASTERROR"]
    classes = {code: type(errors.from_code(code, "text")) for code in codes.values()}
    assert {snake(cls.__name__).upper(): code for code, cls in classes.items()} == codes
    for code, cls in classes.items():
        assert issubclass(cls, drmaa2.Drmaa2Exception)
        assert cls.code == code
        assert cls in vars(drmaa2).values()
    assert issubclass(drmaa2.Timeout, TimeoutError)
    assert issubclass(drmaa2.InvalidArgument, ValueError)


def test_constants() -> None:
    macros = dict(re.findall(r"#define DRMAA2_(\w+) (.+)", HEADER))
    for name in ("ZERO_TIME", "INFINITE_TIME", "NOW"):
        assert f"((time_t) {getattr(constants, name)})" == macros[name]
    assert f'"{constants.HOME_DIRECTORY}"' == macros["HOME_DIR"]
    assert f'"{constants.WORKING_DIRECTORY}"' == macros["WORKING_DIR"]
    assert f'"{constants.PARAMETRIC_INDEX}"' == macros["INDEX"]


def test_limits() -> None:
    names = re.findall(r"extern const char \*const DRMAA2_(\w+);", HEADER)
    assert len(names) == 8
    for name in names:
        value = ctypes.c_char_p.in_dll(_lib.lib, f"DRMAA2_{name}").value
        assert value == getattr(constants, name).encode()


def prototypes(text: str) -> dict[str, int]:
    """How many arguments each function of a header has."""
    found = re.findall(r"^[\w ]+[ *](drmaa2_\w+)\(([^)]*)\);", text, re.MULTILINE)
    return {name: 0 if arguments == "void" else arguments.count(",") + 1 for name, arguments in found}


def test_functions() -> None:
    standard, beyond = prototypes(HEADER), prototypes(header("drmaa2_ext.h"))
    assert len(standard) == 115
    declared = {name: len(getattr(_lib.lib, name).argtypes) for name in _lib.declared()}
    assert {name: (standard | beyond)[name] for name in declared} == declared
    assert not [name for name in standard.keys() - declared.keys() if not UNUSED.fullmatch(name)]


def test_everything_is_exported() -> None:
    assert set(drmaa2.__all__) <= set(dir(drmaa2))
