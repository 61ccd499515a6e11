"""The Playground: an embedded, procedural data set in the form a Kinect v2 would deliver it, made in seconds from a seed.

30 classes (8 for two people), 30 subjects of different build and manner, three cameras, six setups. Clip ``i`` of a seed is the
same in a set of any size, and every clip is a performance of its own. The puppets are in ``skelbench.data.motion``. It is a real
problem: twins such as drink / phone_call or sit_down / squat differ in a hand's last centimetres or in the order of things, people
fidget before and after, and the sensor is noisy.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelbench.data.folders import data_home
from skelbench.data.motion.actions import ACTIONS, CLASSES
from skelbench.data.motion.actor import Actor
from skelbench.data.motion.body import KINECT, Subject, pose, rotation, subject, turned
from skelbench.data.motion.manner import settle, shift_foot
from skelbench.data.motion.moves import pace
from skelbench.data.motion.sensor import record, seen_from
from skelbench.data.motion.tracks import FPS
from skelbench.data.store import Store, write_store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip

SUBJECTS = 30
TRAIN_SUBJECTS = tuple(s for s in range(1, SUBJECTS + 1) if s % 3)  # 20 of 30
CAMERAS, SETUP_COUNT = 3, 6
SHORTEST, LONGEST = 45, 150  # frames
REVISION = 2  # of the generator; part of the cache's provenance, so that an old cache is not taken for a new one
SPLITS = {
    "xsub": {"by": "subject", "train": list(TRAIN_SUBJECTS)},
    "xview": {"by": "camera", "train": [2, 3]},
    "xset": {"by": "setup", "train": [2, 4, 6]},
}
SEED = np.random.SeedSequence


@dataclass(frozen=True, kw_only=True)
class Take:
    """What clip ``row`` shows, drawn before anybody moves.

    Attributes:
        row: number of the clip.
        label: position in ``CLASSES``.
        subject: who leads, from 1.
        partner: the second person, 0 for none.
        camera: 1 to 3.
        setup: 1 to 6.
    """

    row: int
    label: int
    subject: int
    partner: int
    camera: int
    setup: int


def take(row: int, *, seed: int = 0) -> Take:
    """The plan of a clip. Classes go round in blocks, each in an order of its own; sides of the splits go round within a class.

    Raises:
        ConfigError: row or seed is negative.
    """
    if row < 0 or seed < 0:
        raise ConfigError(f"rows and seeds are whole numbers from 0; got row {row}, seed {seed}")
    turn, place = divmod(row, len(CLASSES))
    label = int(_order(seed, turn)[place])
    k = turn + label  # so that the classes are not all on the same side at the same time
    test = [s for s in range(1, SUBJECTS + 1) if s not in TRAIN_SUBJECTS]
    who = test if k % 3 == 2 else TRAIN_SUBJECTS
    rng = np.random.default_rng(SEED([seed, 2, label, turn]))
    first = int(rng.choice(who))
    partner = int(rng.choice([s for s in who if s != first])) if ACTIONS[CLASSES[label]].people == 2 else 0
    camera = 1 + (k + k // 3) % CAMERAS
    setup = 1 + 2 * int(rng.integers(SETUP_COUNT // 2)) + k % 2
    return Take(row=row, label=label, subject=first, partner=partner, camera=camera, setup=setup)


@functools.lru_cache(maxsize=64)
def _order(seed: int, turn: int) -> np.ndarray:
    return np.random.default_rng(SEED([seed, 3, turn])).permutation(len(CLASSES))


@functools.lru_cache(maxsize=256)
def _person(number: int, seed: int) -> Subject:
    return subject(number, seed=seed)


@dataclass(frozen=True, kw_only=True, eq=False)
class Performance:
    """A performance before any camera sees it.

    Attributes:
        joints: (T, people, 25, 3) metres on the scene's floor, y up from the floor, free of noise.
        take: what it shows.
        left: led with the left hand or foot.
        seated: the person sits throughout.
        tempo: 0 slow, 1 ordinary, 2 fast.
    """

    joints: np.ndarray
    take: Take
    left: bool
    seated: bool
    tempo: int


def perform(row: int, *, seed: int = 0) -> Performance:
    """Let clip ``row`` happen, without a camera."""
    return _perform(take(row, seed=seed), seed, np.random.default_rng(SEED([seed, 4, row])))


def _perform(plan: Take, seed: int, rng: np.random.Generator) -> Performance:
    action = ACTIONS[CLASSES[plan.label]]
    people = [_person(s, seed) for s in (plan.subject, plan.partner) if s]
    rate = people[0].tempo * float(np.exp(rng.normal(0, 0.15)))
    natural = float(rng.uniform(*action.seconds)) / rate
    length = float(np.clip(natural, 0.85 * action.seconds[0], LONGEST / FPS - 0.2))
    idle = float(rng.uniform(0.1, 2.2))
    frames = int(np.clip(round((length + idle) * FPS), SHORTEST, LONGEST))
    spare = frames / FPS - length
    start = float(rng.uniform(0.05, 0.95)) * spare
    end = start + length
    if rng.random() < action.cut:  # the recording begins or ends in the middle of it
        start, end = (start - 0.35 * length, end) if rng.random() < 0.5 else (start, end + 0.35 * length)
    seated = bool(rng.random() < action.seated)
    table = seated and bool(rng.random() < action.table)
    actors = [Actor(p, frames, rng, start=start, end=end, seated=seated) for p in people]
    for actor in actors:
        settle(actor, table=table)
    if not seated and rng.random() < action.paces:
        pace(actors[0])
    action.move(*actors)
    for actor in actors:
        shift_foot(actor)
    # Half of all performances lead with the left, more than among people, so that every class shows both of its sides.
    left = bool(rng.random() < (0.75 if people[0].left else 0.42))
    joints = np.stack([_on_stage(a) for a in actors], 1)
    if left:
        joints = joints[:, :, list(KINECT.flip_index)] * np.array([-1.0, 1.0, 1.0])
    return Performance(
        joints=_in_scene(joints, rng), take=plan, left=left, seated=seated, tempo=int(np.digitize(rate, (0.88, 1.14)))
    )


def _on_stage(actor: Actor) -> np.ndarray:
    """From the actor's home place to the stage (T, 25, 3)."""
    x, z, yaw = actor.place
    return turned(rotation(np.array(yaw)), pose(actor.finished(), actor.person)) + np.array([x, 0.0, z])


def _in_scene(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stand the stage in the middle of the scene: one person roughly faces camera 1, two stand across its line of sight."""
    people = joints.shape[1]
    yaw = rng.normal(0, 0.25) + (0.0 if people == 1 else rng.choice((-1, 1)) * np.pi / 2)
    base = joints[:, :, 0]
    middle = 0.5 * (base.min((0, 1)) + base.max((0, 1))) * np.array([1.0, 0.0, 1.0])
    return turned(rotation(np.array(yaw)), joints - middle) + np.array([rng.normal(0, 0.25), 0.0, rng.normal(0, 0.2)])


def make_clip(row: int, *, seed: int = 0) -> Clip:
    """Clip ``row`` of the Playground with this seed, as the sensor reports it: joints (T, 2, 25, 3)."""
    plan = take(row, seed=seed)
    rng = np.random.default_rng(SEED([seed, 4, row]))
    done = _perform(plan, seed, rng)
    joints = record(seen_from(done.joints, plan.camera, plan.setup), rng)
    name = CLASSES[plan.label]
    about = {
        "subject": plan.subject,
        "camera": plan.camera,
        "setup": plan.setup,
        "group": row,
        "partner": plan.partner,
        "handed": int(done.left),
        "variant": int(done.seated),
        "tempo": done.tempo,
        "twin": CLASSES.index(ACTIONS[name].twin),
    }
    clip_id = f"S{plan.setup:03d}C{plan.camera:03d}P{plan.subject:03d}R{row:06d}A{plan.label + 1:03d}"
    return Clip(joints=joints, topology=KINECT, fps=FPS, label=plan.label, id=clip_id, about=about)


def clips(size: int, *, seed: int = 0) -> Iterator[Clip]:
    """The first ``size`` clips of the Playground with this seed, one by one."""
    for row in range(size):
        yield make_clip(row, seed=seed)


def playground(
    size: int = 1200, *, seed: int = 0, path: str | Path | None = None, overwrite: bool = False, progress: bool = True
) -> Store:
    """The Playground as a store; made on first use (about 5 ms a clip), opened from the cache afterwards.

    Besides the usual columns ``index`` has ``partner`` (second subject, 0 for none), ``handed`` (1 where the left hand leads),
    ``variant`` (1 where the person sits throughout), ``tempo`` (0 slow, 1 ordinary, 2 fast) and ``twin`` (the class most easily
    taken for this one). Memory does not grow with ``size``. From 150 clips on, every class stands on both sides of every split.

    Args:
        size: number of clips.
        seed: other people, other performances.
        path: folder of the store; ``data_home()/playground-<size>-<seed>`` where left out.
        overwrite: make it again.
        progress: show a bar while it is made.

    Raises:
        ConfigError: size below 1 or negative seed.
        DataError: the folder exists and is not this Playground.
    """
    if size < 1 or seed < 0:
        raise ConfigError(f"the Playground needs size >= 1 and seed >= 0; got size {size}, seed {seed}")
    folder = Path(path) if path is not None else data_home() / f"playground-{size}-{seed}"
    made = {"generator": "skelbench.data.playground", "revision": REVISION, "size": size, "seed": seed}
    if folder.exists() and not overwrite:
        store = Store(folder)
        found = {k: store.meta.provenance.get(k) for k in made}
        if found == made:
            return store
        if found["generator"] != made["generator"] or found["revision"] == REVISION:
            raise DataError(
                f"{folder} holds {store.meta.name!r} ({found}), wanted the Playground {made}; pass another path or overwrite=True"
            )
    return write_store(
        folder,
        clips(size, seed=seed),
        classes=CLASSES,
        name=f"playground-{size}-{seed}",
        provenance=made,
        licence="made by skelbench, free to use",
        splits=SPLITS,
        extra={"twins": {name: action.twin for name, action in ACTIONS.items()}, "variants": ["standing or moving", "seated"]},
        overwrite=True,
        progress=progress,
        total=size,
    )
