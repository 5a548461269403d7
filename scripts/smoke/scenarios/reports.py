"""What banger says of itself and of what it did."""

from scripts.smoke.case import Case
from scripts.smoke.expect import contains, equal, holds
from scripts.smoke.registry import Group, scenario

REPORTS = Group("reports")


@scenario(REPORTS)
def version_and_help(case: Case) -> None:
    """Without services, and without starting them."""
    holds("a version", case.banger("version").out.strip())
    contains("help", case.banger("--help").out, "vm")
    contains("help", case.banger("vm", "run", "--help").out, "--rm")
    case.banger("daemon", "status", status=6)


@scenario(REPORTS)
def doctor(case: Case) -> None:
    """Every check has a status and what was found; none fails here, services up or down."""
    for command in (("daemon", "stop"), ("daemon", "start")):
        case.banger(*command)
        checks = case.banger("doctor", "-o", "json").json
        holds("a status each", {check["status"] for check in checks} <= {"PASS", "WARN"})
        names = {check["name"] for check in checks}
        holds(f"the services and dns are among {names}", {"services", "dns"} <= names)
    contains("the table", case.banger("doctor").out, "PASS")


@scenario(REPORTS)
def completion(case: Case) -> None:
    """Scripts for three shells; live names while the services are up, nothing when not."""
    for shell in ("bash", "zsh", "fish"):
        contains(shell, case.banger("completion", shell).out, "banger")
    case.banger("vm", "create", "--no-start", "--name", "completed")
    asked = {"_BANGER_COMPLETE": "bash_complete", "COMP_WORDS": "banger vm start com",
             "COMP_CWORD": "3"}  # fmt: skip
    contains("what is offered", case.banger(env=asked).out, "completed")
    case.banger("daemon", "stop")
    equal("offered without services", case.banger(env=asked).out.strip(), "")
    case.banger("daemon", "status", status=6)


@scenario(REPORTS)
def operations(case: Case) -> None:
    """A creation is an operation that can be looked up afterwards."""
    case.banger("vm", "create", "--no-start", "--name", "made")
    listed = case.banger("ops", "list", "-o", "json").json
    found = [each for each in listed if each["name"] == "made"]
    equal("verb and state", [(each["verb"], each["state"]) for each in found],
          [("vm.create", "done")])  # fmt: skip
    shown = case.banger("ops", "show", found[0]["id"][:12], "-o", "json").json
    equal("the same one", shown["id"], found[0]["id"])
    case.banger("ops", "show", "ffffffff", status=3)
    request = case.banger("daemon", "logs", "--request", found[0]["id"][:12]).out
    holds("its lines in the logs", request)


@scenario(REPORTS)
def images_and_kernels(case: Case) -> None:
    """The default image and kernel are listed and shown."""
    for noun in ("image", "kernel"):
        listed = case.banger(noun, "list", "-o", "json").json
        holds(f"there is a {noun}", listed)
        shown = case.banger(noun, "show", listed[0]["id"], "-o", "json").json
        equal(noun, shown["id"], listed[0]["id"])
        case.banger(noun, "list", "--available")
        case.banger(noun, "show", "no-such-thing", status=3)


@scenario(REPORTS)
def services_and_their_logs(case: Case) -> None:
    """Every service is listed as running, and has a log."""
    case.banger("daemon", "start")
    for service in case.banger("daemon", "status", "-o", "json").json["services"]:
        equal(service["name"], service["state"], "running")
        holds("a log", case.banger("daemon", "logs", service["name"]).out)


@scenario(REPORTS)
def ssh_shortcut(case: Case) -> None:
    """ssh-config puts a block into ~/.ssh/config, once, and takes exactly that out again."""
    case.needs(("ssh-config",))
    home = case.directory / "user"
    (home / ".ssh").mkdir(parents=True)
    config = home / ".ssh" / "config"
    config.write_text("Host own\n  User me\n")
    env = {"HOME": str(home)}
    for _ in range(2):
        case.banger("ssh-config", "--install", env=env)
        equal("blocks", config.read_text().count("Host *.vm"), 1)
    case.banger("ssh-config", "--uninstall", env=env)
    equal("the user's own lines", config.read_text(), "Host own\n  User me\n")
