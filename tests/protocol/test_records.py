"""Records in memory: what was read stays as it was, and a replaced record keeps its marks."""

from __future__ import annotations

from jupyter_tokens.protocol.records import MemoryRecords, Record

from ..doubles import Clock


def test_a_record_that_was_read_does_not_change(clock: Clock) -> None:
    records = MemoryRecords(clock)
    records.put("handle", "a", {"owner": "ada"}, seconds=60)
    read, [listed] = records.get("handle", "a"), records.all("handle")
    records.mark("handle", "a", {"used_at": 1.0}, counts="calls")
    assert read == listed == Record({"owner": "ada"}, {})
    assert records.get("handle", "a") == Record({"owner": "ada"}, {"used_at": 1.0, "calls": 1.0})


def test_a_replaced_record_keeps_its_marks_until_it_ends(clock: Clock) -> None:
    records = MemoryRecords(clock)
    records.put("handle", "a", {"owner": "ada"}, seconds=60)
    records.mark("handle", "a", counts="calls")
    records.put("handle", "a", {"owner": "bob"}, seconds=120)
    clock.advance(90)
    assert records.get("handle", "a") == Record({"owner": "bob"}, {"calls": 1.0})
    clock.advance(31)
    assert records.get("handle", "a") is None
    records.put("handle", "a", {"owner": "eve"}, seconds=60)
    assert records.get("handle", "a") == Record({"owner": "eve"}, {})
