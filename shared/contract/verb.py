"""What a verb is: who answers it, what it is asked with, and what comes back.

``shared/contract/verbs`` holds the catalogue: every verb once. Services register handlers against
it, callers ask by it, docs/protocol.md prints its tables from it. A verb that is called gives a
request whose fields and result are known to the type checker::

    done = await self.ask(store.VM_REMOVE(id=vm.id))        # in a service
    view = client.ask(api.VM_STOP(ref="web", timeout=5.0))  # in the command line

The catalogue names the structs of requests and results without importing them, because a command
that only asks needs neither msgspec nor the structs.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
RequestBody = TypeVar("RequestBody")
Result = TypeVar("Result")

SECONDS = 10.0
"""How long an answer that needs no guest may take."""


class Verb(Generic[P, RequestBody, Result]):
    """One verb of one service.

    ``service`` is the name of the service that answers; ``vm`` stands for the supervisor of one
    VM (see ``Request.at``). ``seconds`` is the time limit of a request without a deadline of its
    own; a request that has a field ``timeout`` gets that much on top. ``operation``: the verb
    outlives its caller under its request's id and can be cancelled. ``partials``: the verb reports
    progress.
    """

    def __init__(
        self,
        service: str,
        name: str,
        request: Callable[P, RequestBody],
        result: type[Result],
        *,
        idempotent: bool = True,
        operation: bool = False,
        partials: bool = False,
        seconds: float = SECONDS,
        notes: str = "",
    ) -> None:
        self.service = service
        self.name = name
        self.idempotent = idempotent
        self.operation = operation
        self.partials = partials
        self.seconds = seconds
        self.notes = notes
        self._request = request
        self._result = result

    def __call__(self, *_: P.args, **fields: P.kwargs) -> "Request[Result]":
        """A request with these fields, to be sent with ``ask``."""
        return Request(self, fields, self.service)

    def of(self, body: RequestBody) -> "Request[Result]":
        """A request with a body that is at hand already."""
        return Request(self, body, self.service)

    def __repr__(self) -> str:
        return f"<verb {self.service} {self.name}>"

    @property
    def request(self) -> type[RequestBody]:
        """The struct of the request's body."""
        return cast("type[RequestBody]", _imported(self._request))

    @property
    def result(self) -> type[Result]:
        """The struct of the result, or NoneType for a verb without one."""
        return cast("type[Result]", _imported(self._result))


class Request(Generic[Result]):
    """A verb with its arguments and its addressee."""

    __slots__ = ("body", "service", "verb")

    def __init__(self, verb: Verb[..., Any, Result], body: Any, service: str) -> None:
        self.verb = verb
        self.body = body
        self.service = service

    def at(self, vm_id: str) -> "Request[Result]":
        """The same request for the supervisor of this VM."""
        return Request(self.verb, self.body, f"vm:{vm_id}")

    def after(self, cursor: str) -> "Request[Result]":
        """The same request for the next page of a list."""
        return Request(self.verb, {**self.body, "after": cursor}, self.service)

    @property
    def seconds(self) -> float:
        """The time limit, see ``Verb``."""
        body = self.body
        timeout = body.get("timeout") if isinstance(body, dict) else getattr(body, "timeout", None)
        return self.verb.seconds + float(timeout or 0.0)


class Structs:
    """The structs of one module, by name, imported when a service asks for one.

    A module of the catalogue uses it in place of the import that the type checker sees.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> "_Named":
        return _Named(self._module, name)


class _Named:
    """One struct that is not imported yet."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name


def _imported(kind: Any) -> Any:
    return getattr(import_module(kind.module), kind.name) if isinstance(kind, _Named) else kind
