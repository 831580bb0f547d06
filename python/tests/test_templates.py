"""Every attribute of a template is stored with the job, and read back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from common import IMAGE

from drmaa2 import (
    CORE_FILE_SIZE,
    CPU_TIME,
    PARAMETRIC_INDEX,
    WORKING_DIRECTORY,
    InvalidArgument,
    JobSession,
    JobTemplate,
    MonitoringSession,
    ReservationSession,
    ReservationTemplate,
    UnsupportedAttribute,
)
from drmaa2._struct import layout


def whole_template(tmp_path: Path, reservation: str) -> JobTemplate:
    source = tmp_path / "source"
    source.touch()
    now = datetime.now(timezone.utc).replace(microsecond=0)
    with MonitoringSession() as monitoring:
        (machine,) = monitoring.get_all_machines()
    return JobTemplate(
        remote_command="/bin/sh",
        args=["-c", "exit 0", "größer"],
        submit_as_hold=True,
        rerunnable=True,
        job_environment={"A": "1", "B": ""},
        working_directory="/tmp",
        job_category=IMAGE,
        email=["root", "somebody"],
        email_on_started=True,
        email_on_terminated=True,
        job_name="whole",
        input_path=str(source),
        output_path=f"{tmp_path}/output",
        error_path=f"{tmp_path}/error",
        join_files=True,
        reservation_id=reservation,
        queue_name="urgent",
        min_slots=1,
        max_slots=1,
        priority=7,
        candidate_machines=[machine.name, "elsewhere"],
        min_phys_memory=1000,
        machine_os=machine.machine_os,
        machine_arch=machine.machine_arch,
        start_time=now + timedelta(hours=1),
        deadline_time=now + timedelta(hours=2),
        stage_in_files={str(source): "/in"},
        stage_out_files={"/out": f"{tmp_path}/out"},
        resource_limits={CPU_TIME: "100", CORE_FILE_SIZE: "0"},
        accounting_id="account",
        implementation_specific={"containerd_jt_hostname": "whole", "containerd_jt_tmpfs": "/scratch:1m"},
    )


def test_every_attribute(session: JobSession, reservations: ReservationSession, tmp_path: Path) -> None:
    reservation = reservations.request_reservation(ReservationTemplate(duration=7200, min_phys_memory=1000))
    template = whole_template(tmp_path, reservation.id)
    for name, _ in layout(JobTemplate).kinds:
        assert getattr(template, name), f"{name} is not set"
    job = session.run_job(template)
    assert job.get_template() == template
    # A copy: what is submitted does not change with it.
    template.job_name = "changed"
    assert job.get_template().job_name == "whole"


def test_every_attribute_of_an_array(session: JobSession) -> None:
    template = JobTemplate(
        job_category=IMAGE,
        remote_command="true",
        working_directory="/tmp",
        output_path=f"{WORKING_DIRECTORY}/{PARAMETRIC_INDEX}",
        submit_as_hold=True,
    )
    array = session.run_bulk_jobs(template, 1, 2)
    assert array.get_template() == template
    assert [job.get_template() for job in array] == [template, template]


def test_what_is_refused(session: JobSession) -> None:
    for refused, template in [
        (InvalidArgument, JobTemplate()),
        (InvalidArgument, JobTemplate(remote_command="true", working_directory="relative")),
        (InvalidArgument, JobTemplate(remote_command="true", job_category=IMAGE, queue_name="nowhere")),
        (InvalidArgument, JobTemplate(remote_command="true", implementation_specific={"nonsense": "1"})),
        (
            UnsupportedAttribute,
            JobTemplate(
                remote_command="true",
                job_category=IMAGE,
                resource_limits={CPU_TIME: 1},
                implementation_specific={"containerd_jt_init": "off"},
            ),
        ),
    ]:
        with pytest.raises(refused):
            session.run_job(template)
    assert session.get_jobs() == []
