"""How often a transfer speaks, and what of."""

from services.workspaces.guest.send_progress import INTERVAL_SECONDS, SendProgress


def test_a_stage_is_said_once_and_bytes_now_and_then() -> None:
    now, said = [0.0], []
    progress = SendProgress(lambda *words: said.append(words), lambda: now[0])
    progress.sent(10)
    for stage in ("history", "history", "what a guest says"):
        progress.stage(stage)
    for _ in range(100):
        now[0] += INTERVAL_SECONDS / 10
        progress.sent(1_000_000)
    progress.stage("files")
    assert said[0] == ("history", "sending history")
    assert said[-1] == ("files", "the guest writes its files")
    assert 9 <= len(said) - 2 <= 10
    assert said[1][1].startswith("sending history: 10.")
    assert progress.bytes == 100_000_010
