"""``transfer.prepare``: place a repository of the host in a guest, or bring it up to date there."""

from contextlib import ExitStack

from services.workspaces.guest.placing import begin_placing
from services.workspaces.guest.updating import GuestRepository
from services.workspaces.jobs.choice import require_guest_path
from services.workspaces.jobs.first_prepare import prepare_first
from services.workspaces.jobs.later_prepare import prepare_again
from services.workspaces.jobs.prepare_request import PrepareRequest, as_before
from services.workspaces.placement.record import load_record
from services.workspaces.tools import bootstrap
from services.workspaces.tools.plan import needs_outside, plan_of
from shared.contract.messages.workspace import Prepared, TransferPrepare
from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.workers.job import JobContext


def run(request: TransferPrepare, context: JobContext) -> Prepared:
    """Prepare, or with ``request.sync`` take the host's later changes to what was prepared.

    Raises what reading the repository raises; ``conflict`` when the guest path is taken, or the
    guest changed what would be overwritten; ``not_found`` for a sync of nothing; ``missing_tool``
    without git in the guest; ``no_space``, ``lost``, ``guest_failed``.
    """
    assert context.vm_state is not None
    record = load_record(context.vm_state, request.guest_path)
    if request.sync:
        if record is None:
            raise BangerError(
                Code.NOT_FOUND,
                f"nothing was prepared at {printable(request.guest_path)}",
                hint="prepare it first: banger vm workspace prepare",
            )
        request = as_before(request, record)
    require_guest_path(request.guest_path)
    context.progress("read", "reading the repository")
    access, path = request.target.access, request.guest_path
    with ExitStack() as stack:
        done = update = begun = None
        if record is not None:
            update = stack.enter_context(GuestRepository(access, path))
        else:
            begun = stack.enter_context(begin_placing(access, path))
        wanted = PrepareRequest.read(request, context, again=record is not None)
        if record is not None and update is not None and record.host_path == wanted.host_path:
            done = prepare_again(wanted, record, update)
        if done is None:
            done = prepare_first(wanted, begun)
    _begin_bootstrap(wanted, done)
    return done


def _begin_bootstrap(wanted: PrepareRequest, done: Prepared) -> None:
    """Install the tools that the repository pins. Its failure is a notice."""
    request = wanted.request
    if not request.bootstrap or request.sync:
        return
    paths = sorted(entry.path for entry in wanted.files())
    wishes = plan_of(wanted.top.repository.top, paths)
    if not wishes:
        return
    if not request.outside:
        done.notices.append(needs_outside(wishes))
        return
    begun = bootstrap.run(
        request.target.access,
        wishes,
        done.workspace.guest_path,
        wait=request.wait_for_tools,
        progress=wanted.context.progress,
    )
    done.tools_log = begun.log
    done.notices += begun.notices
