"""Monitoring sessions, and what the library tells of itself."""

from __future__ import annotations

import importlib.metadata
import platform

from common import LONG, sleeper

from drmaa2 import (
    Capability,
    JobInfo,
    JobSession,
    JobState,
    MonitoringSession,
    OperatingSystem,
    QueueInfo,
    get_drmaa_name,
    get_drmaa_version,
    get_drms_name,
    get_drms_version,
    supports,
)


def test_jobs_of_all_sessions(session: JobSession) -> None:
    with JobSession() as other, MonitoringSession("any name") as monitoring:
        jobs = [one.run_job(sleeper()) for one in (session, other)]
        for job in jobs:
            job.wait_started(LONG)
        assert set(jobs) <= set(monitoring.get_all_jobs())
        assert set(jobs) <= set(monitoring.get_all_jobs(JobInfo(job_state=JobState.RUNNING)))
        assert monitoring.get_all_jobs(JobInfo(job_id=jobs[1].id)) == [jobs[1]]
        jobs[1].terminate()
        jobs[1].wait_terminated(LONG)
        other.destroy()


def test_machines_and_queues() -> None:
    with MonitoringSession() as monitoring:
        (machine,) = monitoring.get_all_machines()
        assert machine.available
        assert machine.machine_os == OperatingSystem.LINUX
        assert machine.machine_arch is not None
        assert machine.machine_os_version is not None
        assert platform.release().startswith(str(machine.machine_os_version))
        assert machine.sockets and machine.cores_per_socket and machine.threads_per_core
        assert machine.phys_memory and machine.virt_memory
        assert machine.phys_memory <= machine.virt_memory
        assert machine.load is not None and machine.load >= 0
        names = [found.name for found in monitoring.get_all_machines([machine.name, "elsewhere"])]
        assert names == [machine.name]
        assert monitoring.get_all_machines([]) == []
        assert {queue.name for queue in monitoring.get_all_queues()} == {"default", "urgent"}
        assert monitoring.get_all_queues(["urgent", "other"]) == [QueueInfo("urgent")]


def test_names_and_versions() -> None:
    assert get_drms_name() == "containerd"
    assert get_drms_version().major.isdigit()
    assert get_drmaa_name() == "drmaa2-containerd"
    version = get_drmaa_version()
    assert (version.major, version.minor) == ("2", importlib.metadata.version("drmaa2-containerd"))
    assert str(version) == f"{version.major}.{version.minor}"


def test_capabilities() -> None:
    assert supports(Capability.ADVANCE_RESERVATION)
    assert supports(Capability.JT_EMAIL)
    assert all(isinstance(supports(capability), bool) for capability in Capability)
