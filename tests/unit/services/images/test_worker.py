from services.images.worker import JOBS


def test_every_job_has_a_module_that_does_it() -> None:
    for name in JOBS.requests:
        assert callable(JOBS.runner(name))
