"""A message is at fault once another was taken, and never before."""

from streams.dispatch.blame import MAX_REMEMBERED, Blame


def test_what_refuses_everything_is_itself_at_fault() -> None:
    blame = Blame()
    blame.learn((), ["a", "b"])
    blame.learn((), ["c"])
    assert not any(map(blame.is_own, "abc"))


def test_a_message_is_at_fault_once_another_was_taken() -> None:
    blame = Blame()
    blame.learn((), ["a"])
    blame.learn(["b"])
    assert blame.is_own("a") and not blame.is_own("b")
    blame.learn((), ["c"])
    assert not blame.is_own("c"), "since it was refused none was taken"
    blame.learn(["d"], ["e"])
    assert blame.is_own("c") and blame.is_own("e")


def test_what_was_taken_in_the_end_was_not_at_fault() -> None:
    blame = Blame()
    blame.learn(["b"], ["a"])
    blame.learn(["a"])
    assert not blame.is_own("a")


def test_no_more_than_a_thousand_are_remembered() -> None:
    blame = Blame()
    blame.learn((), map(str, range(3 * MAX_REMEMBERED)))
    assert len(blame._refused) == MAX_REMEMBERED
    blame.learn(["x"])
    assert not blame.is_own("0") and blame.is_own(str(3 * MAX_REMEMBERED - 1))
