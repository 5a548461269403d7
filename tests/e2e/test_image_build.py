"""An image is built in a real guest, and a VM of it is committed: whiteouts, owners and links."""

from pathlib import Path

import pytest

from tests.home import Home

DOCKERFILE = """\
FROM debian-bookworm
WORKDIR /srv/app
COPY --chown=1000:1000 tool .
RUN rm -r /usr/share/vim && mv /usr/share/perl /usr/share/moved && ln tool hard
"""
LOOK = """
cd /srv/app && stat -c '%u %g %h %n' tool
[ -e /usr/share/vim ] || echo no vim
[ -d /usr/share/moved ] && [ ! -e /usr/share/perl ] && echo moved
cat /etc/added
"""


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_build_and_a_commit_are_layers_of_a_vm(home: Home, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    build = ["image", "build", "-f", str(tmp_path / "Dockerfile"), str(tmp_path), "-t", "e2e-built"]
    try:
        built = home.banger(*build, "--force", "-q", timeout=300).stdout
        assert home.banger(*build, "-q", timeout=60).stdout == built  # nothing has changed
        home.banger("vm", "run", "-d", "--name", "one", "--image", "e2e-built", timeout=120)
        home.banger("vm", "exec", "one", "--", "sh", "-c", "echo yes >/etc/added")
        home.banger("vm", "stop", "one")
        home.banger("vm", "commit", "one", "e2e-committed")
        run = ["vm", "run", "--rm", "--image", "e2e-committed", "--", "sh", "-c", LOOK]
        found = home.banger(*run, timeout=120).stdout.splitlines()
        assert found == ["1000 1000 2 tool", "no vim", "moved", "yes"]
    finally:
        home.banger("vm", "delete", "one", check=False)
        home.banger("image", "delete", "e2e-committed", check=False)
        home.banger("image", "delete", "e2e-built", check=False)
