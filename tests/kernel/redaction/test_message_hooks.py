"""What a session sends is searched, whatever it is; what is held back is neither lost nor out of its order."""

from __future__ import annotations

import array
import copy
import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jupyter_client.session import DELIM, Session

from jupyter_tokens.kernel.redaction.known_values import KnownValues
from jupyter_tokens.kernel.redaction.message_hooks import MessageHooks
from jupyter_tokens.kernel.redaction.search import Search

from .sessions import Publisher, Socket, received

VALUE = "7211546f57cd432790643bb6612da19d"
LABEL = "[token x]"
PARENT = {"msg_id": "cell-1", "session": "client", "msg_type": "execute_request"}


class Given:
    """A hooked session, and what it looks for."""

    def __init__(self) -> None:
        known = KnownValues()
        known.add(VALUE, "token x")
        self.looked_for: Search | None = known.search()
        self.session: Any = Session(key=b"key")  # Any: it sends to doubles of sockets
        self.hooks = MessageHooks(self.session, lambda: self.looked_for)
        self.iopub = Publisher()
        self.shell = Socket()

    def prints(self, text: str, *, name: str = "stdout", parent: dict[str, Any] | None = None) -> None:
        # As ipykernel's streams do.
        message = self.session.msg("stream", {"name": name, "text": text}, parent=parent or PARENT)
        self.session.send(self.iopub, message, ident=b"stream.stdout")

    def shown(self) -> list[str]:
        return [message["content"].get("text", message["msg_type"]) for message in received(self.iopub.sent)]


@pytest.fixture
def given() -> Iterator[Given]:
    made = Given()
    yield made
    made.hooks.close()


def test_a_value_is_replaced_and_the_message_signed_anew(given: Given) -> None:
    content = {"data": {"text/plain": f"'{VALUE}'", VALUE: [VALUE]}, "metadata": {}}
    kept = copy.deepcopy(content)
    sent = given.session.send(given.iopub, "display_data", content, PARENT, b"topic", metadata={"note": VALUE})
    (message,) = received(given.iopub.sent)
    assert message["content"] == {"data": {"text/plain": f"'{LABEL}'", LABEL: [LABEL]}, "metadata": {}}
    assert message["metadata"] == {"note": LABEL}
    assert message["msg_id"] == sent["msg_id"]
    assert message["parent_header"] == PARENT
    assert given.iopub.sent[0][0] == b"topic"
    assert content == kept


def test_a_message_without_a_value_goes_out_byte_by_byte_as_it_was(given: Given) -> None:
    message = given.session.msg("display_data", {"data": {"text/plain": "plain é\x1b[0m", "n": [0.1, None]}}, PARENT)
    given.session.send(given.iopub, message, ident=[b"a", b"b"])
    assert given.iopub.sent == [Session.serialize(given.session, message, [b"a", b"b"])]


def test_headers_stay_as_they_are(given: Given) -> None:
    given.session.send(given.shell, "execute_reply", {"status": "ok"}, {**PARENT, "username": VALUE})
    assert received(given.shell.sent)[0]["parent_header"]["username"] == VALUE


def test_a_content_that_is_packed_already_is_searched(given: Given) -> None:
    message = {**given.session.msg("display_data", {}, PARENT), "content": given.session.pack({"text": VALUE})}
    given.session.send(given.iopub, message)
    assert received(given.iopub.sent)[0]["content"] == {"text": LABEL}


def test_other_packers_are_searched(given: Given) -> None:
    given.session.packer, given.session.unpacker = "pickle", "pickle"
    given.session.send(given.iopub, "display_data", {"text": VALUE}, PARENT)
    parts = given.iopub.sent[0]
    at = parts.index(DELIM) + 1
    assert pickle.loads(parts[at + 4]) == {"text": LABEL}
    assert parts[at] == given.session.sign(parts[at + 1 :])


def test_binary_parts_keep_their_length(given: Given) -> None:
    numbers = array.array("d", [1.0, 2.0])
    buffers = [b"\0" + VALUE.encode(), numbers, memoryview(VALUE.encode())]
    given.session.send(given.iopub, "comm_msg", {"data": {}}, PARENT, buffers=buffers)
    first, second, third = received(given.iopub.sent)[0]["buffers"]
    assert bytes(first) == b"\0" + LABEL.encode().ljust(len(VALUE), b"*")
    assert bytes(second) == numbers.tobytes()
    assert len(third) == len(VALUE)
    assert buffers[0] == b"\0" + VALUE.encode()


def test_binary_parts_of_a_ready_message_are_searched(given: Given) -> None:
    message = given.session.msg("comm_msg", {"data": {}}, PARENT) | {"buffers": [VALUE.encode()]}
    given.session.send(given.iopub, message)
    assert bytes(received(given.iopub.sent)[0]["buffers"][0]).startswith(LABEL.encode())
    assert message["buffers"] == [VALUE.encode()]


def test_what_has_no_buffer_is_refused_as_ever(given: Given) -> None:
    with pytest.raises(TypeError):
        given.session.send(given.iopub, "comm_msg", {"data": {}}, PARENT, buffers=["text"])


def test_a_value_that_is_split_between_messages_is_found(given: Given) -> None:
    for letter in f"a {VALUE} b\n":
        given.prints(letter)
    assert "".join(given.shown()) == f"a {LABEL} b\n"


@pytest.mark.parametrize("kind", ["execute_reply", "input_request", "status", "display_data", "error", "comm_msg"])
def test_any_other_message_of_the_cell_has_what_is_held_sent_before(given: Given, kind: str) -> None:
    given.prints(f"question {VALUE[:5]}")
    assert given.shown() == ["question "]
    given.session.send(given.iopub, kind, {}, PARENT)
    assert given.shown() == ["question ", VALUE[:5], kind]


def test_what_is_held_goes_before_an_answer_on_another_socket(given: Given) -> None:
    given.prints(VALUE[:5])
    given.session.send(given.shell, "execute_reply", {}, {"header": PARENT, "content": {}})
    assert given.shown() == [VALUE[:5]]
    assert received(given.shell.sent)[0]["parent_header"] == PARENT


def test_another_cells_messages_leave_what_is_held_alone(given: Given) -> None:
    given.prints(VALUE[:5])
    given.session.send(given.iopub, "status", {}, {**PARENT, "msg_id": "cell-2"})
    given.prints("other", parent={**PARENT, "msg_id": "cell-2"})
    given.prints(VALUE[5:])
    assert given.shown() == ["status", "other", LABEL]


def test_the_other_stream_of_the_cell_has_what_is_held_sent_before(given: Given) -> None:
    given.prints(VALUE[:5])
    given.prints("err", name="stderr")
    given.prints("out")
    assert given.shown() == [VALUE[:5], "err", "out"]


def test_what_nothing_follows_is_sent_after_a_moment(given: Given) -> None:
    given.prints(VALUE[:5])
    assert not given.shown()
    given.iopub.io_loop.later()
    (message,) = received(given.iopub.sent)
    assert message["content"] == {"name": "stdout", "text": VALUE[:5]}
    assert message["parent_header"] == PARENT
    assert given.iopub.sent[0][0] == b"stream.stdout"
    given.iopub.io_loop.later()
    assert len(given.iopub.sent) == 1


def test_the_moment_of_an_earlier_end_does_not_count_for_a_later_one(given: Given) -> None:
    given.prints(VALUE[:5])
    earlier, given.iopub.io_loop.calls = given.iopub.io_loop.calls, []
    given.prints(VALUE[5:10])
    for call in earlier:
        call()
    assert not given.shown()
    given.prints(VALUE[10:])
    assert given.shown() == [LABEL]


def test_a_stream_that_is_sent_in_the_short_way_is_held_as_well(given: Given) -> None:
    for part in (VALUE[:5], VALUE[5:]):
        told = given.session.send(given.iopub, "stream", {"name": "stdout", "text": part}, parent=PARENT)
        assert told["msg_type"] == "stream"
    assert given.shown() == [LABEL]


def test_a_stream_without_a_text_is_passed_on(given: Given) -> None:
    given.session.send(given.iopub, "stream", {"name": "stdout", "note": VALUE}, parent=PARENT)
    assert received(given.iopub.sent)[0]["content"] == {"name": "stdout", "note": LABEL}


def test_where_no_thread_would_release_it_nothing_is_held(given: Given) -> None:
    given.session.send(given.shell, "stream", {"name": "stdout", "text": VALUE[:5]}, parent=PARENT)
    assert received(given.shell.sent)[0]["content"]["text"] == VALUE[:5]


def test_a_forked_child_holds_nothing_and_does_not_send_what_its_parent_holds(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.prints(VALUE[:5])
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    given.session.pid = child  # as ipykernel's streams do
    given.prints(VALUE[5:10])
    given.prints(VALUE)
    assert given.shown() == [VALUE[5:10], LABEL]


def test_more_arguments_than_we_know_are_passed_on(given: Given) -> None:
    content = {"data": {"text/plain": VALUE}}
    given.session.send(given.iopub, "display_data", content, PARENT, None, None, *(False, None, {"note": 1}))
    (message,) = received(given.iopub.sent)
    assert message["content"]["data"] == {"text/plain": LABEL}
    assert message["metadata"] == {"note": 1}


def test_what_is_held_when_redaction_is_switched_off_comes_first(given: Given) -> None:
    given.prints(VALUE[:5])
    given.looked_for = None
    given.prints(VALUE)
    assert given.shown() == [VALUE[:5], VALUE]


def test_closing_sends_what_is_held_and_leaves_the_session_as_it_was(given: Given) -> None:
    given.prints(VALUE[:5])
    given.hooks.close()
    assert given.shown() == [VALUE[:5]]
    assert not {"send", "serialize"} & vars(given.session).keys()
    given.prints(VALUE)
    assert given.shown()[1:] == [VALUE]


def test_whoever_hooked_in_after_us_stays(given: Given) -> None:
    ours = given.session.send
    seen: list[str] = []

    def theirs(stream: Any, kind: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append("theirs")
        return ours(stream, kind, *args, **kwargs)

    given.session.send = theirs
    given.hooks.close()
    given.looked_for = None
    given.prints(VALUE)
    assert seen == ["theirs"]
    assert given.shown() == [VALUE]


def test_a_text_of_a_stream_is_searched_once(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    assert given.looked_for is not None
    searched: list[str] = []
    for name in ("found", "may_hold"):
        search = getattr(given.looked_for, name)

        def counted(data: Any, search: Callable[[Any], Any] = search) -> Any:
            searched.append(str(data))
            return search(data)

        monkeypatch.setattr(given.looked_for, name, counted)
    given.prints("a text that is found in no header\n")
    assert sum("found in no header" in data for data in searched) == 1
    given.session.send(given.iopub, "stream", {"name": "other", "text": "found in no header"}, PARENT)
    given.session.send(given.iopub, "display_data", {"text": "found in no header"}, PARENT)
    assert sum("found in no header" in data for data in searched) == 4


def test_a_stream_of_another_name_or_with_more_than_a_text_is_searched_as_a_whole(given: Given) -> None:
    given.session.send(given.iopub, "stream", {"name": VALUE, "text": VALUE}, PARENT)
    given.session.send(given.iopub, "stream", {"name": "stdout", "text": f"{VALUE}\n", "note": [VALUE]}, PARENT)
    given.session.send(given.iopub, "stream", {"name": "stdout", "text": VALUE}, PARENT, metadata={"note": VALUE})
    contents = [message["content"] for message in received(given.iopub.sent)]
    assert contents == [
        {"name": LABEL, "text": LABEL},
        {"name": "stdout", "text": f"{LABEL}\n", "note": [LABEL]},
        {"name": "stdout", "text": LABEL},
    ]
    assert received(given.iopub.sent)[2]["metadata"] == {"note": LABEL}


def test_a_text_that_is_changed_after_its_search_is_searched_again(given: Given) -> None:
    given.prints("a line\n")
    told = given.session.send(given.iopub, given.session.msg("stream", {"name": "stdout", "text": ""}, PARENT))
    given.session.send(given.shell, {**told, "content": {"name": "stdout", "text": VALUE}})
    assert given.shown() == ["a line\n", ""]
    assert received(given.shell.sent)[0]["content"]["text"] == LABEL
