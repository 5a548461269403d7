import pytest

from services.images.building.dockerfile import Instruction, parse
from shared.errors import BangerError


def test_instructions_have_their_lines() -> None:
    content = """\
# syntax=docker/dockerfile:1
ARG version=12

from debian-bookworm
RUN apt-get update && \\
    # a comment in between
    apt-get install -y \\

      git
COPY --chown=1000:1000 --chmod=755 a b /opt/
CMD ["a", "b"]
"""
    assert parse("Dockerfile", content) == [
        Instruction(2, "ARG", "version=12"),
        Instruction(4, "FROM", "debian-bookworm"),
        Instruction(5, "RUN", "apt-get update &&     apt-get install -y       git"),
        Instruction(10, "COPY", "a b /opt/", {"chown": "1000:1000", "chmod": "755"}),
        Instruction(11, "CMD", '["a", "b"]'),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["a", "b c"]', ["a", "b c"]),
        ("a b", None),
        ("['a']", None),  # no JSON: docker takes it for a shell form
        ("[1]", None),
        ("[" * 5000, None),
    ],
)
def test_an_exec_form_is_json(text: str, words: list[str] | None) -> None:
    assert Instruction(1, "CMD", text).words_of_json() == words


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "Dockerfile: there is no FROM"),
        ("RUN true\nFROM a", "Dockerfile:1: RUN comes before FROM"),
        ("FROM a\nFROM b", "Dockerfile:2: there is a second FROM"),
        ("FROM a\n\nADD x /", "Dockerfile:3: ADD is not known here"),
        ("FROM a\nVOLUME /x", "Dockerfile:2: VOLUME is not known here"),
        ("FROM a\nHEALTHCHECK NONE", "Dockerfile:2: HEALTHCHECK is not known here"),
        ("FROM a\nnonsense", "Dockerfile:2: NONSENSE is not known here"),
        ("FROM a\nRUN", "Dockerfile:2: RUN needs an argument"),
        ("FROM a\nRUN --mount=type=cache x", "Dockerfile:2: RUN --mount is not known here"),
        ("FROM a\nCOPY --from=b x /", "Dockerfile:2: COPY --from is not known here"),
        ("FROM a\nCOPY --chown x /", "Dockerfile:2: COPY --chown needs one value"),
        ("FROM a\nRUN cat <<EOF\nEOF", "Dockerfile:2: here-documents are not known"),
        ("FROM a\nCOPY <<-'EOF' /x\nEOF", "Dockerfile:2: here-documents are not known"),
        ("# escape=`\nFROM a", "Dockerfile:1: only the backslash"),
        ("FROM a\n" + "RUN x\n" * 1000, "more than 1000 instructions"),
    ],
)
def test_anything_else_is_refused_by_its_line(content: str, problem: str) -> None:
    with pytest.raises(BangerError) as caught:
        parse("Dockerfile", content)
    assert problem in caught.value.message


def test_a_shift_is_no_here_document() -> None:
    assert len(parse("Dockerfile", "FROM a\nRUN echo $((1 << 2)) $((1<<x))")) == 2
