"""What a worker of the service can do. Workers as processes: tests/unit/shared/workers."""

from services.workspaces.worker import JOBS


def test_every_verb_of_the_service_has_a_job_by_its_name() -> None:
    assert sorted(JOBS.requests) == [
        f"transfer.{name}" for name in ("apply", "export", "files", "plan", "prepare", "status")
    ]
    for name in JOBS.requests:
        assert callable(JOBS.runner(name))
