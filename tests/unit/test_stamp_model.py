"""The reader's stamp, proved on a model: every interleaving of a small world is walked through.

The world has one document made of a root row and a child row, an outbox, a relay that may be
killed between its publish and its move, a queue that folds waiting twins, two reconcilers that
may be killed before they settle, a backfill, and a target that keeps the highest stamp. When
everything has come to rest, the target must hold what the database holds, in every world that
can be reached. Two nearby disciplines must fail in the same worlds, or the model proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

import pytest

Discipline: TypeAlias = tuple[str, str, str]
SOUND: Discipline = ("see", "draw", "read")
READ_FIRST: Discipline = ("see", "read", "draw")
DRAW_EARLY: Discipline = ("draw", "see", "read")

Row: TypeAlias = int | None
Content: TypeAlias = tuple[int, Row] | None
"""What a reader builds from root and child; None for an absent document."""

Write: TypeAlias = tuple[Literal["root", "child", "rollback"], Row]
Process: TypeAlias = tuple[int, int, Content]
"""Steps done so far, stamp drawn, content read."""

IDLE: Process = (0, 0, None)
SETTLE = 4  # steps: the three of the discipline, then the write to the target, then settling


class World(NamedTuple):
    """Everything there is."""

    root: Row
    child: Row
    writes: tuple[Write, ...]
    outbox: int
    relaying: int
    waiting: bool
    drawn: int
    reconcilers: tuple[Process, ...]
    backfill: Process
    target: tuple[int, Content]
    kills: int

    @property
    def content(self) -> Content:
        return None if self.root is None else (self.root, self.child)


def start(writes: tuple[Write, ...], reconcilers: int, kills: int) -> World:
    """A row that was there before its table was registered, and the target without it."""
    return World(
        root=1,
        child=None,
        writes=writes,
        outbox=0,
        relaying=0,
        waiting=False,
        drawn=0,
        reconcilers=(IDLE,) * reconcilers,
        backfill=IDLE,
        target=(0, None),
        kills=kills,
    )


def successors(world: World, discipline: Discipline) -> Iterator[World]:
    """Every world that is one step away."""
    if world.writes:
        yield commit(world)
    if world.relaying:
        yield world._replace(outbox=world.outbox - world.relaying, relaying=0)
    elif world.outbox:
        yield world._replace(relaying=world.outbox, waiting=True)
    if world.relaying and world.kills:
        yield world._replace(relaying=0, kills=world.kills - 1)
    for number, process in enumerate(world.reconcilers):
        yield from reconcile(world, number, process, discipline)
    yield from backfill(world, discipline)


def commit(world: World) -> World:
    """A transaction ends: its row and its outbox entry become visible together, or neither."""
    (kind, row), *rest = world.writes
    world = world._replace(writes=tuple(rest))
    if kind == "rollback":
        return world
    changed = world._replace(root=row) if kind == "root" else world._replace(child=row)
    return changed._replace(outbox=world.outbox + 1)


def reconcile(
    world: World, number: int, process: Process, discipline: Discipline
) -> Iterator[World]:
    """One reconciler takes its next step, or is killed and its job becomes ready again."""
    done = process[0]
    seen = discipline.index("see") < done
    if done == SETTLE:
        yield with_reconciler(world, number, IDLE)
    elif done == SETTLE - 1:
        yield with_reconciler(to_target(world, process), number, (SETTLE, 0, None))
    elif discipline[done] != "see":
        world_after, process_after = draw_or_read(world, process, discipline[done])
        yield with_reconciler(world_after, number, process_after)
    elif world.waiting:
        yield with_reconciler(
            world._replace(waiting=False), number, (done + 1, process[1], process[2])
        )
    if seen and world.kills:
        yield with_reconciler(world._replace(waiting=True, kills=world.kills - 1), number, IDLE)


def backfill(world: World, discipline: Discipline) -> Iterator[World]:
    """Reconciles the document once without a job; nothing to see first."""
    steps = [step for step in discipline if step != "see"]
    done = world.backfill[0]
    if done < len(steps):
        world_after, process = draw_or_read(world, world.backfill, steps[done])
        yield world_after._replace(backfill=process)
    elif done == len(steps):
        yield to_target(world, world.backfill)._replace(backfill=(done + 1, 0, None))


def draw_or_read(world: World, process: Process, step: str) -> tuple[World, Process]:
    done, stamp, content = process
    if step == "read":
        return world, (done + 1, stamp, world.content)
    stamp = world.drawn + 1
    return world._replace(drawn=stamp), (done + 1, stamp, content)


def to_target(world: World, process: Process) -> World:
    """Write under the stamp; the target keeps the highest."""
    _, stamp, content = process
    return world._replace(target=(stamp, content)) if stamp > world.target[0] else world


def with_reconciler(world: World, number: int, process: Process) -> World:
    reconcilers = list(world.reconcilers)
    reconcilers[number] = process
    # They are alike, so worlds that differ only in who is who are one world.
    ordered = sorted(reconcilers, key=repr)
    return world._replace(reconcilers=tuple(ordered))


def at_rest(world: World, discipline: Discipline) -> bool:
    """Nothing is on its way any more; a stamp drawn early for a job that never comes may stay."""
    busy = any(discipline.index("see") < process[0] for process in world.reconcilers)
    backfilled = world.backfill[0] == SETTLE - 1
    return backfilled and not (world.writes or world.outbox or world.waiting or busy)


def explore(world: World, discipline: Discipline) -> tuple[int, int]:
    """Walk through all reachable worlds; return how many came to rest, and how many diverged."""
    seen, todo = {world}, [world]
    rested = diverged = 0
    while todo:
        world = todo.pop()
        if at_rest(world, discipline):
            rested += 1
            diverged += world.target[1] != world.content
        for after in successors(world, discipline):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return rested, diverged


WORLDS = {
    "update, and a rollback": start((("root", 2), ("rollback", 9), ("root", 3)), 2, 1),
    "delete and re-insert": start((("root", None), ("root", 2)), 2, 1),
    "delete last": start((("root", 2), ("root", None)), 2, 1),
    "child rows": start((("child", 5), ("root", None), ("child", None)), 2, 1),
    "two kills": start((("root", None), ("root", 2)), 2, 2),
    "three reconcilers": start((("root", 2), ("root", None)), 3, 0),
}


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_that_comes_to_rest_agrees_with_the_database(name: str) -> None:
    rested, diverged = explore(WORLDS[name], SOUND)
    assert rested > 0
    assert diverged == 0


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("discipline", [READ_FIRST, DRAW_EARLY], ids=["read first", "draw early"])
def test_the_nearby_mistakes_diverge(name: str, discipline: Discipline) -> None:
    _, diverged = explore(WORLDS[name], discipline)
    assert diverged > 0
