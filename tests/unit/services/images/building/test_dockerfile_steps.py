import pytest

from services.images.building.dockerfile import parse
from services.images.building.dockerfile_steps import SEARCH_PATH, base_of, steps_of
from shared.contract.messages.build import BuildStep
from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError


def read(
    content: str, base: ImageConfig | None = None, **arguments: str
) -> tuple[list[BuildStep], ImageConfig]:
    return steps_of("Dockerfile", parse("Dockerfile", content), arguments, base)


def base(content: str, **arguments: str) -> tuple[str, int]:
    return base_of("Dockerfile", parse("Dockerfile", content), arguments)


def test_from_takes_arguments() -> None:
    content = "ARG tag=12\nFROM --platform=linux/amd64 debian:$tag AS build\n"
    assert base(content) == ("debian:12", 2)
    assert base(content, tag="13") == ("debian:13", 2)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("FROM a b", "FROM needs an image"),
        ("FROM --platform=linux/arm64 a", "no images for linux/arm64"),
        ("FROM scratch", "a base that a VM can boot"),
        ("FROM ${a", "is not closed"),
    ],
)
def test_a_from_that_cannot_be_is_refused(content: str, problem: str) -> None:
    with pytest.raises(BangerError, match=problem):
        base(content)


def test_env_workdir_and_user_hold_for_what_follows() -> None:
    steps, config = read(
        "FROM a\n"
        "RUN one\n"
        "ENV A=1 B='x y'\n"
        "ENV PATH $PATH:/opt/bin\n"
        "WORKDIR /srv\n"
        "WORKDIR app\n"
        "USER bob:staff\n"
        'RUN ["two", "$A"]\n',
        ImageConfig(env={"PATH": "/bin"}, workdir="/home"),
    )
    one, srv, app, two = steps
    assert (one.kind, one.argv, one.line) == ("run", ["/bin/sh", "-c", "one"], 2)
    assert (one.env, one.workdir, one.user) == ({"PATH": "/bin"}, "/home", "")
    assert [(each.kind, each.destination) for each in (srv, app)] == [
        ("directory", "/srv"),
        ("directory", "/srv/app"),
    ]
    assert two.argv == ["two", "$A"]
    assert two.env == {"PATH": "/bin:/opt/bin", "A": "1", "B": "x y"}
    assert (two.workdir, two.user) == ("/srv/app", "bob:staff")
    assert (config.env, config.workdir, config.user) == (two.env, "/srv/app", "bob:staff")


def test_arguments_are_for_run_and_not_in_the_image() -> None:
    steps, config = read("ARG o=out\nFROM a\nARG x=1 y\nARG o\nENV x=env\nRUN z", None, y="given")
    assert steps[0].env == {"x": "env", "y": "given", "o": "out", "PATH": SEARCH_PATH}
    assert config.env == {"x": "env"}


def test_an_argument_that_the_file_does_not_have_is_refused() -> None:
    with pytest.raises(BangerError, match="there is no ARG typo"):
        read("FROM a\nARG x", None, typo="1")


def test_copy_has_sources_and_a_place() -> None:
    steps, _ = read(
        "FROM a\nWORKDIR /srv\nENV d=etc\n"
        "COPY --chown=1:2 --chmod=0644 a b $d/\n"
        'COPY ["with blank", "/x"]\n'
        "COPY . .\n"
    )
    _, two, blank, all_ = steps
    assert (two.sources, two.destination, two.owner, two.mode) == (
        ["a", "b"],
        "/srv/etc/",
        "1:2",
        "0644",
    )
    assert (blank.sources, blank.destination) == (["with blank"], "/x")
    assert (all_.sources, all_.destination) == (["."], "/srv/")


def test_the_config_of_the_base_goes_on() -> None:
    below = ImageConfig(entrypoint=["/e"], cmd=["c"], exposed=["80/tcp"], labels={"a": "1"})
    _, same = read("FROM a\nEXPOSE 80 53/udp 8000-8010\nLABEL b=2 'c d'=3", below)
    assert (same.entrypoint, same.cmd) == (["/e"], ["c"])
    assert same.exposed == ["80/tcp", "53/udp", "8000-8010/tcp"]
    assert same.labels == {"a": "1", "b": "2", "c d": "3"}


def test_an_entrypoint_of_its_own_takes_the_cmd_of_the_base_out() -> None:
    below = ImageConfig(entrypoint=["/e"], cmd=["c"])
    assert read('FROM a\nENTRYPOINT ["x"]', below)[1].cmd == []
    _, config = read('FROM a\nCMD echo hi\nENTRYPOINT ["x"]', below)
    assert (config.entrypoint, config.cmd) == (["x"], ["/bin/sh", "-c", "echo hi"])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("COPY a", "needs a source and a destination"),
        ("COPY a b c", "needs a directory"),
        ("COPY --chmod=u+x a /b", "no octal mode"),
        ("ENV A", "needs NAME=VALUE"),
        ("ENV A=1 B", "is not NAME=VALUE"),
        ("ENV 1A=1 ", "is not NAME=VALUE"),
        ("USER a b", "is no user"),
        ("EXPOSE 0", "is no port"),
        ("EXPOSE 70000", "is no port"),
        ("ARG 1=2", "is not NAME or NAME=VALUE"),
        ("WORKDIR '/x", "not closed"),
    ],
)
def test_mistakes_are_told_with_their_line(line: str, problem: str) -> None:
    with pytest.raises(BangerError, match=problem) as caught:
        read(f"FROM a\n\n{line}\n")
    assert caught.value.message.startswith("Dockerfile:3: ")


def test_there_are_not_more_steps_than_a_plan_can_have() -> None:
    with pytest.raises(BangerError, match="more than 500 steps"):
        read("FROM a\n" + "RUN x\n" * 501)


def test_a_base_that_says_nothing_of_it_has_the_usual_path() -> None:
    steps, config = read("FROM a\nRUN x\nENV PATH=/opt/bin:$PATH")
    assert steps[0].env == {"PATH": SEARCH_PATH}
    assert config.env == {"PATH": f"/opt/bin:{SEARCH_PATH}"}
