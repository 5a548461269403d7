"""``python -m services.workspaces.worker``: the process of one transfer."""

from shared.contract.verb import Verb
from shared.contract.verbs import workspaces
from shared.workers.worker import Jobs, main

JOBS = Jobs(
    package="services.workspaces.jobs",
    requests={
        verb.name: verb.request for verb in vars(workspaces).values() if isinstance(verb, Verb)
    },
)

if __name__ == "__main__":
    main(JOBS)
