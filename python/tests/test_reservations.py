"""Reservations."""

from __future__ import annotations

import getpass
from datetime import datetime, timedelta, timezone

import pytest
from common import LONG, shell, state

from drmaa2 import (
    NOW,
    InvalidArgument,
    InvalidState,
    JobSession,
    JobState,
    MonitoringSession,
    Reservation,
    ReservationSession,
    ReservationTemplate,
)


def test_a_reservation(reservations: ReservationSession) -> None:
    begin = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)
    with MonitoringSession() as monitoring:
        (machine,) = monitoring.get_all_machines()
        template = ReservationTemplate(
            reservation_name="whole",
            start_time=begin,
            end_time=begin + timedelta(minutes=10),
            duration=timedelta(minutes=10),
            min_slots=1,
            max_slots=1,
            job_category="any",
            users_acl=[getpass.getuser(), "nobody"],
            candidate_machines=[machine.name],
            min_phys_memory=1000,
            machine_os=machine.machine_os,
            machine_arch=machine.machine_arch,
        )
        reservation = reservations.request_reservation(template)
        assert reservation.get_template() == template
        info = reservation.get_info()
        assert (info.reservation_id, info.reservation_name) == (reservation.id, "whole")
        assert (info.reserved_start_time, info.reserved_end_time) == (begin, template.end_time)
        assert info.users_acl == template.users_acl
        assert info.reserved_slots == 1
        assert info.reserved_machines is not None
        assert [slots.machine_name for slots in info.reserved_machines] == [machine.name]
        assert list(reservations) == [reservation]
        assert reservation in monitoring.get_all_reservations()
        assert reservations.get_reservation(reservation.id) == reservation
        assert reservation == Reservation(reservation.id, reservations.name)
    reservation.terminate()
    assert list(reservations) == []
    with pytest.raises(InvalidState):
        reservation.terminate()


def test_a_job_in_a_reservation(session: JobSession, reservations: ReservationSession) -> None:
    reservation = reservations.request_reservation(ReservationTemplate(start_time=NOW, duration=600))
    job = session.run_job(shell("exit 0", reservation_id=reservation.id))
    job.wait_terminated(LONG)
    assert state(job) == JobState.DONE


def test_what_is_refused(reservations: ReservationSession) -> None:
    for template in (
        ReservationTemplate(),
        ReservationTemplate(duration=0),
        ReservationTemplate(start_time=NOW, duration=10, min_slots=1_000_000),
    ):
        with pytest.raises(InvalidArgument):
            reservations.request_reservation(template)
    with pytest.raises(InvalidArgument):
        reservations.get_reservation("unknown")
    with pytest.raises(InvalidArgument):
        Reservation("unknown", reservations.name).get_info()
