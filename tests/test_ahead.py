"""Working ahead: in order, in another thread, and no further than it is told."""

import contextlib
import threading
import time

import pytest

from sound_diffusion.film.ahead import MOST_READY, ahead
from sound_diffusion.film.painter import Painted


def test_items_come_in_order_from_another_thread():
    threads = set()

    def squares():
        for number in range(20):
            threads.add(threading.current_thread())
            yield number**2

    assert list(ahead(squares())) == [number**2 for number in range(20)]
    assert threading.current_thread() not in threads


def test_no_more_is_made_than_is_ready_to_be_taken():
    made = []
    items = (made.append(number) or number for number in range(100))
    with contextlib.closing(ahead(items)) as numbers:
        assert next(numbers) == 0
        time.sleep(0.1)
        assert len(made) == MOST_READY + 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_closing_closes_what_is_read_from():
    closed = []

    def items():
        try:
            yield from range(100)
        finally:
            closed.append(threading.current_thread())

    with contextlib.closing(ahead(items())) as numbers:
        assert next(numbers) == 0
        assert not closed
    assert closed == [threading.current_thread()]


def test_an_error_comes_in_the_place_of_its_item():
    def broken():
        yield 1
        raise ValueError("no second one")

    numbers = ahead(broken())
    assert next(numbers) == 1
    with pytest.raises(ValueError, match="no second one"):
        next(numbers)


def test_a_frame_is_decoded_once_by_whoever_comes_first():
    calls = []

    def decode():
        time.sleep(0.02)
        calls.append(threading.current_thread())
        return "picture"

    painted = Painted(None, None, decode)
    other = threading.Thread(target=lambda: painted.picture)
    other.start()
    assert painted.picture == "picture"
    other.join()
    assert len(calls) == 1
