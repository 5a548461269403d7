import pytest

from services.images.building.toml_file import config_of, parse, steps_of
from shared.contract.messages.build import BuildStep
from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError

FULL = """\
base = "debian-bookworm"
name = "web"
packages = ["nginx", "libstdc++6"]
user = "dev"
workdir = "/srv"
cmd = ["nginx"]
run = [
    "make install",
    { command = "npm ci", user = "dev", workdir = "/srv/app" },
]

[env]
A = "1"

[[files]]
source = "site/*.conf"
destination = "/etc/nginx/"
owner = "www-data"
mode = "0644"
"""


def test_a_file_becomes_steps_in_order() -> None:
    steps = steps_of("image.toml", FULL, parse("image.toml", FULL))
    assert [(each.kind, each.line) for each in steps] == [
        ("user", 4),
        ("packages", 3),
        ("copy", 15),
        ("directory", 5),
        ("run", 7),
        ("run", 7),
    ]
    assert steps[1].argv == ["nginx", "libstdc++6"]
    assert steps[2] == BuildStep(
        kind="copy",
        line=15,
        text="files: site/*.conf → /etc/nginx/",
        sources=["site/*.conf"],
        destination="/etc/nginx/",
        owner="www-data",
        mode="0644",
    )
    assert (steps[4].argv[-1], steps[4].workdir, steps[4].user) == ("make install", "/srv", "")
    assert (steps[5].env, steps[5].workdir, steps[5].user) == ({"A": "1"}, "/srv/app", "dev")


def test_the_config_is_that_of_the_base_with_changes() -> None:
    below = ImageConfig(entrypoint=["/e"], cmd=["c"], env={"A": "0", "B": "2"}, user="x")
    config = config_of(parse("image.toml", FULL), below)
    assert config == ImageConfig(
        entrypoint=["/e"], cmd=["nginx"], env={"A": "1", "B": "2"}, user="dev", workdir="/srv"
    )


def test_an_entrypoint_of_its_own_takes_the_cmd_of_the_base_out() -> None:
    found = parse("image.toml", 'base = "a"\nentrypoint = ["/x"]\n')
    assert config_of(found, ImageConfig(entrypoint=["/e"], cmd=["c"])).cmd == []


def test_a_base_alone_is_enough() -> None:
    found = parse("image.toml", 'base = "a"')
    assert steps_of("image.toml", 'base = "a"', found) == []
    assert config_of(found, None) == ImageConfig()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "image.toml: Object missing required field base"),
        ('base = "a"\nbase = "b"', "image.toml:2: cannot overwrite a value"),
        ('base = "a"\nrun = [', "image.toml:2: invalid value"),
        ('base = "a"\npackage = ["x"]', "image.toml:2: "),
        ('base = "a"\n\npackages = "x"', "image.toml:3: "),
        ('base = "a"\npackages = ["x y"]', "image.toml:2: 'x y' is no name of a package"),
        ('base = "a"\npackages = ["--force"]', "image.toml:2: '--force' is no name"),
        ('base = "a"\nuser = "A B"', "image.toml:2: 'A B' is no name of a user"),
        ('base = "a"\nworkdir = "x"', "image.toml:2: the workdir 'x' is not an absolute"),
        ('base = "a"\n[[files]]\nsource = "x"', "image.toml:2: "),
        (
            'base = "a"\n[[files]]\nsource = "x"\ndestination = "y"',
            "image.toml:2: the destination 'y' is not an absolute path",
        ),
        (
            'base = "a"\n[[files]]\nsource = "x"\ndestination = "/y"\nmode = "u+x"',
            "image.toml:2: the mode 'u+x' is not octal",
        ),
        ('base = "a"\nrun = [{ commnd = "x" }]', "image.toml:2: "),
    ],
)
def test_mistakes_are_told_with_their_line(content: str, problem: str) -> None:
    with pytest.raises(BangerError) as caught:
        parse("image.toml", content)
    assert caught.value.message.startswith(problem)


def test_there_are_not_more_steps_than_a_plan_can_have() -> None:
    content = 'base = "a"\nrun = [' + '"x",' * 501 + "]"
    with pytest.raises(BangerError, match="more than 500 steps"):
        steps_of("image.toml", content, parse("image.toml", content))
