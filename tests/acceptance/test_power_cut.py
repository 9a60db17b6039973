"""What a power cut costs: nothing with the settings we call safe, and nothing behind an outbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.power_cut.cases import CASES, Case
from benchmarks.power_cut.cut import cut_in_the_middle
from benchmarks.power_cut.replay import cut_behind_the_relay

SECONDS = 2.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.usefixtures("disks")]


def cases(*, safe: bool) -> list[object]:
    """All but Kafka, which takes too long to start again: `make power-cut` has it."""
    chosen = [case for case in CASES if case.safe is safe and case.server != "kafka"]
    return [pytest.param(case, id=f"{case.server}-{case.setting}") for case in chosen]


@pytest.mark.parametrize("case", cases(safe=True))
def test_a_safe_setting_loses_nothing_that_was_acknowledged(
    case: Case, new_directory: Callable[[str], Path]
) -> None:
    loss = cut_in_the_middle(case, new_directory("power"), SECONDS)
    assert loss.acknowledged > 100
    assert loss.lost == 0


@pytest.mark.parametrize("case", cases(safe=False))
def test_another_setting_loses_what_had_not_reached_the_disk(
    case: Case, new_directory: Callable[[str], Path]
) -> None:
    """Shows that the cut cuts: without it, the case above would prove nothing."""
    cuts = (cut_in_the_middle(case, new_directory("power"), SECONDS) for _ in range(3))
    assert any(cut.lost for cut in cuts), "three cuts that all hit the moment after a sync?"


def test_the_outbox_brings_back_what_redis_lost(new_directory: Callable[[str], Path]) -> None:
    replay = cut_behind_the_relay(new_directory("power"), SECONDS, appendfsync="no")
    assert replay.lost_by_redis > 0
    assert replay.lost_in_the_end == 0
