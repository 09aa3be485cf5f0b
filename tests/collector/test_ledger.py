"""The ledger's sum closes, or says where it does not."""

from collector.ledger import LOSS_SECONDS, Ledger, Losses


def test_what_was_let_go_is_counted_by_stage_and_reason() -> None:
    ledger = Ledger()
    ledger.drop("decode", "icmp", 2)
    ledger.drop("decode", "not_ip", 5)
    ledger.drop("decode", "icmp")
    ledger.drop("decode", "later_fragment", 3)
    ledger.drop("reading", "gap")
    assert list(ledger.by_reason("decode").items()) == [("not_ip", 5), ("icmp", 3), ("later_fragment", 3)]
    assert ledger.by_reason("reading") == {"gap": 1}
    assert ledger.by_reason("nowhere") == {}


def test_a_count_of_nothing_is_no_entry() -> None:
    ledger = Ledger()
    ledger.drop("flows", "evicted", 0)
    assert ledger.let_go == {}


def test_a_sum_that_closes_says_nothing() -> None:
    ledger = Ledger(packets_in=5, packets_decoded=3)
    ledger.drop("decode", "icmp", 2)
    ledger.drop("reading", "gap", 9)
    assert ledger.open_sums() == []


def test_a_sum_that_does_not_close_is_told_in_words() -> None:
    ledger = Ledger(packets_in=5, packets_decoded=3)
    ledger.drop("decode", "icmp")
    assert ledger.open_sums() == ["decode: 5 packets in, 3 decoded, 1 let go by reason"]


def test_what_was_seen_is_what_was_observed_and_what_concerned_nobody() -> None:
    ledger = Ledger()
    ledger.observations["lenswatch.dns"] += 2
    ledger.unasked["lenswatch.dns"] += 3
    ledger.unasked["lenswatch.tls"] += 1
    assert ledger.seen() == {"lenswatch.dns": 5, "lenswatch.tls": 1}


def test_what_the_kernel_dropped_is_told_at_once_and_then_once_a_minute() -> None:
    ledger, said = Ledger(), list[str]()
    losses = Losses(ledger, said.append)
    losses.look(5.0)
    assert said == []
    ledger.drop("capture", "kernel_drop", 1_200)
    ledger.drop("capture", "ring_full", 3)
    losses.look(6.0)
    ledger.drop("capture", "kernel_drop", 34)
    losses.look(7.0)
    losses.look(6.0 + LOSS_SECONDS)
    losses.look(7.0 + 3 * LOSS_SECONDS)
    mend = "more --workers, a larger [capture] ring_bytes, or a --filter"
    assert said == [
        f"the kernel dropped 1,200 packets, 1,200 in all (ring full: 3 times): {mend}",
        f"the kernel dropped 34 packets, 1,234 in all (ring full: 3 times): {mend}",
    ]
