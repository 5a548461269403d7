from services.images.jobs.progress import in_bytes


def test_bytes_are_reported_in_mib() -> None:
    said: list[tuple[str, str]] = []
    in_bytes(lambda *words: said.append(words))("pull", 5 << 19, (5 << 20) + 1)
    assert said == [("pull", "2 of 6 MiB")]
