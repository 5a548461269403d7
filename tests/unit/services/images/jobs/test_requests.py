import msgspec

from services.images.jobs.requests import ImportJob


def test_a_request_is_the_same_after_the_pipe() -> None:
    job = ImportJob(images="/images", file="/file", name="web")
    assert msgspec.json.decode(msgspec.json.encode(job), type=ImportJob) == job
