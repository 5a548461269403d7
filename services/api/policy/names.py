"""Readable names for a VM that is given none."""

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


STRIDE = 997
"""Steps from one candidate to the next: a prime, so that all names come in turn."""


def candidates(number: int, count: int = 20) -> list[str]:
    """``count`` names of two words, and one that no VM has; ``number`` is random and picks them."""
    pairs = len(ADJECTIVES) * len(NOUNS)
    places = ((number + index * STRIDE) % pairs for index in range(count))
    names = (f"{ADJECTIVES[place // len(NOUNS)]}-{NOUNS[place % len(NOUNS)]}" for place in places)
    return [*names, f"vm-{number:x}"]
