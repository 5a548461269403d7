"""``vm.exec``: a command run by the guest's agent, where ssh is broken."""

from services.api.context import ApiContext
from shared.bus.handlers import Call, handles
from shared.contract.lifecycle import Action, check
from shared.contract.messages.vm_request import GuestOutput, VmExec
from shared.contract.verbs import api, supervisor


class GuestExecVerbs:
    """Passed on to the VM's supervisor, which holds the agent."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.VM_EXEC)
    async def execute(self, request: VmExec, call: Call) -> GuestOutput:
        context = self._context
        vm = await context.awake(await context.find(request.ref), call)
        check(vm.name, vm.state, Action.SESSION)
        context.spawn(context.touch(vm.id))
        asked = supervisor.EXEC(text=request.text, stdin=request.stdin, seconds=request.seconds)
        with context.working(vm, "vm.exec"):
            return await context.ask(asked.at(vm.id), deadline=call.deadline)
