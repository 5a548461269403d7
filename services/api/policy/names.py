"""A readable name for a VM that is given none."""

from collections.abc import Iterable

ADJECTIVES = (
    "amber bold brave brisk calm clear clever coral crisp eager early fair fast fleet fresh "
    "gentle glad golden grand green happy honest jolly keen kind lively lucky mellow merry "
    "mild neat noble plain proud quick quiet rapid ready rosy royal sharp shiny silent "
    "silver smart snug solid spry steady still sunny swift tidy true vivid warm wise witty "
    "young zesty"
).split()
NOUNS = (
    "ant badger bear beaver bee bison crab crane crow deer dove duck eagle elk falcon finch "
    "fox frog gecko goat goose hare hawk heron ibex jay koala lark lemur lion lynx mole "
    "moose moth mouse newt orca otter owl panda puffin quail rabbit raven robin seal shrew "
    "sloth snail sparrow stoat stork swan tiger toad trout turtle vole wasp whale wolf wren "
    "yak zebra"
).split()


def random_name(taken: Iterable[str], number: int) -> str:
    """A free name of two words; ``number`` is random and picks it."""
    used = set(taken)
    combinations = len(ADJECTIVES) * len(NOUNS)
    for offset in range(combinations):
        adjective, noun = divmod((number + offset) % combinations, len(NOUNS))
        name = f"{ADJECTIVES[adjective]}-{NOUNS[noun]}"
        if name not in used:
            return name
    return f"vm-{number:x}"
