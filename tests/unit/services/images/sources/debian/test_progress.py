"""Transcripts: lines that mmdebstrap and apt print, and the steps they become."""

from services.images.sources.debian.progress import BuildProgress, Step

TWO_PACKAGES = "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded."


def steps(progress: BuildProgress, *lines: str) -> list[tuple[str, str, float]]:
    fed = (progress.feed(line) for line in lines)
    return [(step.stage, step.message, step.fraction) for step in fed if step]


def kernel() -> BuildProgress:
    return BuildProgress(runs=1, touches=1, end=0.45)


def test_a_kernel_is_done_downloading_when_every_announced_package_is_there() -> None:
    assert steps(
        kernel(),
        "I: automatically chosen format: tar",
        "I: running apt-get update...",
        "Get:1 http://mirror.example/debian trixie InRelease [140 kB]",
        "I: downloading packages with apt...",
        TWO_PACKAGES,
        "Get:1 http://mirror.example/debian trixie/main amd64 kmod amd64 34.2-2 [99 kB]",
        "Get:2 http://mirror.example/debian trixie/main amd64 linux-image amd64 6.12 [50 MB]",
        "I: extracting archives...",
    ) == [
        ("index", "reading the package index", 0.0),
        ("download", "downloading packages", 0.0),
        ("download", "downloading kmod", 0.25),
        ("download", "downloading linux-image", 0.45),
        ("unpack", "extracting archives", 0.45),
    ]


def test_an_image_counts_two_runs_of_apt_and_three_mentions_of_a_package() -> None:
    one_package = "0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded."
    get = "Get:1 http://mirror.example/debian bookworm/main amd64 git amd64 1:2.39 [7 MB]"
    progress = BuildProgress(runs=2, touches=3, end=0.95)
    assert steps(
        progress,
        one_package,
        get,
        "Unpacking git (1:2.39.5-0+deb12u3) ...",
        "Setting up git (1:2.39.5-0+deb12u3) ...",
        one_package,
        "Setting up libc6:amd64 (2.36-9) ...",
    ) == [
        ("download", "downloading git", 0.2),
        ("install", "unpacking git", 0.35),
        ("install", "setting up git", 0.5),
        ("install", "setting up libc6", 0.65),
    ]


def test_packing_comes_after_all_packages_even_when_some_were_not_seen() -> None:
    progress = BuildProgress(runs=2, touches=3, end=0.9)
    assert steps(progress, TWO_PACKAGES, "I: creating tarball...") == [
        ("squash", "packing the file system", 0.9)
    ]


def test_more_mentions_than_announced_never_pass_the_end() -> None:
    progress = kernel()
    get = "Get:1 http://mirror.example/debian trixie/main amd64 kmod amd64 34.2-2 [99 kB]"
    assert steps(progress, TWO_PACKAGES, *[get] * 5)[-1][2] == 0.45


def test_the_fraction_never_falls_when_apt_announces_again() -> None:
    progress = BuildProgress(runs=2, touches=1, end=0.9)
    get = "Get:1 http://mirror.example/debian trixie/main amd64 kmod amd64 34.2-2 [99 kB]"
    seen = steps(progress, *[TWO_PACKAGES, get, get] * 3)
    fractions = [fraction for _, _, fraction in seen]
    assert fractions == sorted(fractions)


def test_other_lines_tell_nothing() -> None:
    progress = kernel()
    lines = ["", "Reading package lists...", "Setting up the moon", "Unpacking", TWO_PACKAGES]
    assert steps(progress, *lines) == []


def test_a_package_before_any_announcement_is_part_of_the_index() -> None:
    line = "Get:4 http://mirror.example/debian bookworm/main amd64 Packages [8790 kB]"
    assert kernel().feed(line) is None
    assert kernel().feed("I: running apt-get update...") == Step(
        "index", "reading the package index", 0.0
    )
