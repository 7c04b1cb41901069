"""Shares of a work: they cover it, do not overlap, are alike in size, and one process knows its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sound_diffusion.errors import ParameterError
from sound_diffusion.film.controls import Controls
from sound_diffusion.film.segments import divide
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.model.defaults import ModelDefaults
from sound_diffusion.options import FilmOptions
from sound_diffusion.shards import Shard

COSTS = st.lists(st.floats(0, 100, width=32), max_size=30)


@given(COSTS, st.integers(1, 9), st.integers(0, 20))
def test_every_item_is_in_one_share(costs, count, first):
    shares = [Shard(index, count).share(costs, first) for index in range(count)]
    assert sorted(item for share in shares for item in share) == list(range(len(costs)))
    loads = [sum(costs[item] for item in share) for share in shares]
    assert max(loads) - min(loads) <= max(costs, default=0) + 1e-3


def test_equal_items_go_round():
    assert [Shard(index, 3).share([1.0] * 7) for index in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]
    assert Shard(2, 3).share([1.0] * 7, first=2) == [0, 3, 6]


def test_a_long_item_has_a_share_of_its_own():
    assert [Shard(index, 2).share([1, 9, 1, 1]) for index in range(2)] == [[1], [0, 2, 3]]


@given(st.integers(1, 9), st.integers(1, 9), COSTS)
def test_a_share_that_is_divided_again(outer, inner, costs):
    shards = [Shard(i, outer).divided(j, inner) for i in range(outer) for j in range(inner)]
    assert sorted(shard.index for shard in shards) == list(range(outer * inner))
    assert {shard.count for shard in shards} == {outer * inner}


def test_it_counts_from_one():
    assert Shard.parse("2/8") == Shard(1, 8)
    assert str(Shard.parse("8/8")) == "8/8"


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1", "a/b", "1/2/3", "-1/2", "1/9999999", "", "١/٢"])
def test_other_texts_are_refused(text):
    with pytest.raises(ParameterError, match="i/n"):
        Shard.parse(text)


def segments(strengths, *flags, **options):
    n_frames = len(strengths)
    timeline = Timeline(n_samples=n_frames * 100, fps=441)
    options = FilmOptions(**options).completed({"guidance": 1.0}, ModelDefaults())
    return [
        (s.frames.start, s.frames.stop)
        for s in divide(Controls(options, numbers={"strength": strengths}), timeline)
    ]


def test_a_film_is_cut_where_a_frame_forgets_the_one_before():
    assert segments([0.4, 0.4, 1.0, 0.3, 1.0, 1.0]) == [(0, 2), (2, 4), (4, 5), (5, 6)]
    assert segments([1.0, 0.99, 0.4]) == [(0, 3)]


def test_frames_that_stand_alone_come_in_batches():
    assert segments([0.4] * 20, mode="txt2img") == [(0, 8), (8, 16), (16, 20)]
    assert segments([0.4] * 5, mode="txt2img", batch_size=2) == [(0, 2), (2, 4), (4, 5)]
