"""Bad input: one clear line, the right status, and nothing left behind."""

from scripts.smoke.case import Case
from scripts.smoke.expect import contains, equal, holds
from scripts.smoke.registry import Group, scenario

REFUSALS = Group("refusals")

SPECS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("--vcpu", "0"), 2),
    (("--vcpu", "-1"), 2),
    (("--vcpu", "100000"), 2),
    (("--memory", "0"), 2),
    (("--memory", "1M"), 2),
    (("--memory", "900000G"), 2),
    (("--memory", "much"), 2),
    (("--disk-size", "-1G"), 2),
    (("--disk-size", "0"), 2),
    (("--overlay-size", "0"), 2),
    (("--image", "no-such-image"), 3),
)
NAMES = ("Not_A_Name", "-x", "x-", "a.b", "ä", "x" * 64, " ", "a/b")


@scenario(REFUSALS)
def invalid_specs_leave_no_row(case: Case) -> None:
    """A size that cannot be, or an image there is not: named, and no VM is made."""
    for arguments, status in SPECS:
        done = case.banger("vm", "run", "--rm", *arguments, "--", "true", status=status)
        contains("stderr", done.err, "error: ")
        contains("stderr", done.err, arguments[0].strip("-").partition("-")[0])
    equal("VMs", case.names(), [])
    equal("files", case.stack.home.vm_files(), [])


@scenario(REFUSALS)
def invalid_names(case: Case) -> None:
    """Names that are none are refused, not rewritten; the longest one is taken."""
    for name in NAMES:
        case.banger("vm", "create", "--no-start", "--name", name, status=2)
    equal("VMs", case.names(), [])
    longest = "x" * 63
    case.banger("vm", "create", "--no-start", "--name", longest)
    equal("VMs", case.names(), [longest])


@scenario(REFUSALS)
def taken_name(case: Case) -> None:
    """A name that is taken is a conflict, a longer one beside it is none."""
    for name in ("beta", "beta-2"):
        case.banger("vm", "create", "--no-start", "--name", name)
    done = case.banger("vm", "create", "--no-start", "--name", "beta", "-o", "json", status=4)
    equal("code", case.error(done)["code"], "conflict")
    equal("the exact name is meant", case.show("beta")["name"], "beta")


@scenario(REFUSALS)
def references(case: Case) -> None:
    """A prefix of one is that one, of several an error that lists them, of none not found."""
    for name in ("alpha-one", "alpha-two"):
        case.banger("vm", "create", "--no-start", "--name", name)
    equal("a prefix of one", case.show("alpha-o")["name"], "alpha-one")
    ambiguous = case.banger("vm", "show", "alpha", status=3)
    for name in ("alpha-one", "alpha-two"):
        contains("the candidates", ambiguous.err, name)
    unknown = case.banger("vm", "show", "omega", "-o", "json", status=3)
    equal("code", case.error(unknown)["code"], "not_found")
    for verb in ("start", "stop", "restart", "kill", "pause", "resume", "delete", "exec", "logs"):
        case.banger("vm", verb, "omega", *(["--", "true"] if verb == "exec" else []), status=3)


@scenario(REFUSALS)
def good_ones_beside_a_bad_one(case: Case) -> None:
    """A verb for several VMs does the good ones, tells of the bad one, and fails."""
    for name in ("good", "well"):
        case.banger("vm", "create", "--no-start", "--name", name)
    done = case.banger("vm", "delete", "good", "missing", "well", "good", "-o", "json", status=None)
    holds("no success", done.status)
    found = [(each["ref"], each["ok"]) for each in done.json]
    equal("answers", found, [("good", True), ("missing", False), ("well", True)])
    equal("VMs", case.names(), [])


@scenario(REFUSALS)
def verbs_in_the_wrong_state(case: Case) -> None:
    """What needs a running VM says that this one is not, and how to change that."""
    case.banger("vm", "create", "--no-start", "--name", "asleep")
    for words in (("exec", "asleep", "--", "true"), ("console", "asleep"), ("ports", "asleep")):
        done = case.banger("vm", *words, status=5)
        contains("stderr", done.err, "hint: ")
    case.banger("vm", "health", "asleep", status=None)
    case.banger("vm", "cp", "asleep:/etc/hostname", ".", status=5)


@scenario(REFUSALS)
def wrong_words(case: Case) -> None:
    """Commands and options that are none are usage errors, with where help is."""
    for words in (("nothing",), ("vm", "nothing"), ("vm", "list", "--nothing"), ("vm", "show")):
        done = case.banger(*words, status=2)
        contains("stderr", done.err, "--help")
