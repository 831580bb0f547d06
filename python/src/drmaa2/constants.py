"""The constants of DRMAA2."""

from __future__ import annotations

from typing import Final

#: As waiting time: look and return.
ZERO_TIME: Final = 0
#: As waiting time: without limit.
INFINITE_TIME: Final = -1
#: As a moment: when the call is made.
NOW: Final = -2

#: At the start of a path: the home directory of the job's user.
HOME_DIRECTORY: Final = "$DRMAA2_HOME_DIR$"
#: At the start of a path: the working directory of the job.
WORKING_DIRECTORY: Final = "$DRMAA2_WORKING_DIR$"
#: In a path: the index of the job in its array.
PARAMETRIC_INDEX: Final = "$DRMAA2_INDEX$"

#: The keys of ``JobTemplate.resource_limits``.
CORE_FILE_SIZE: Final = "CORE_FILE_SIZE"
CPU_TIME: Final = "CPU_TIME"
DATA_SIZE: Final = "DATA_SIZE"
FILE_SIZE: Final = "FILE_SIZE"
OPEN_FILES: Final = "OPEN_FILES"
STACK_SIZE: Final = "STACK_SIZE"
VIRTUAL_MEMORY: Final = "VIRTUAL_MEMORY"
WALLCLOCK_TIME: Final = "WALLCLOCK_TIME"
