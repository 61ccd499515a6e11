"""The action table: 30 classes, 8 of them for two people, nearly each with a twin that is easily taken for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from skelbench.data.motion import gestures, moves, pairs


@dataclass(frozen=True, kw_only=True)
class Action:
    """One class.

    Attributes:
        move: function that writes it, into one Actor or two.
        twin: the class most easily taken for it.
        seconds: shortest and longest duration at ordinary tempo.
        people: 1 or 2.
        seated: share of clips in which the person sits all the time; table: of these, share at a table.
        paces: share of the standing clips in which the person walks about meanwhile.
        cut: share of clips that begin or end in the middle of it.
    """

    move: Callable[..., None]
    twin: str
    seconds: tuple[float, float]
    people: int = 1
    seated: float = 0.0
    table: float = 0.3
    paces: float = 0.0
    cut: float = 0.0


ACTIONS: dict[str, Action] = {
    "drink": Action(move=gestures.drink, twin="phone_call", seconds=(1.5, 3.2), seated=0.4, paces=0.15, cut=0.1),
    "phone_call": Action(move=gestures.phone_call, twin="drink", seconds=(1.7, 3.6), seated=0.35, paces=0.3, cut=0.25),
    "wipe_face": Action(move=gestures.wipe_face, twin="drink", seconds=(1.4, 3), seated=0.35, paces=0.12, cut=0.15),
    "put_on_hat": Action(move=gestures.put_on_hat, twin="take_off_hat", seconds=(1.5, 2.9), seated=0.25, paces=0.15),
    "take_off_hat": Action(move=gestures.take_off_hat, twin="put_on_hat", seconds=(1.5, 2.9), seated=0.25, paces=0.15),
    "wave": Action(move=gestures.wave, twin="throw", seconds=(1.4, 3.2), seated=0.3, paces=0.2, table=0.1, cut=0.2),
    "throw": Action(move=gestures.throw, twin="wave", seconds=(1.4, 2.2), seated=0.12, table=0.0),
    "point": Action(move=gestures.point, twin="throw", seconds=(1.3, 2.9), seated=0.3, paces=0.15, cut=0.1),
    "clap": Action(move=gestures.clap, twin="type_keyboard", seconds=(1.3, 3.2), seated=0.35, paces=0.12, table=0.1, cut=0.25),
    "check_watch": Action(move=gestures.check_watch, twin="read", seconds=(1.3, 2.5), seated=0.3, paces=0.2, cut=0.1),
    "type_keyboard": Action(move=gestures.type_keyboard, twin="read", seconds=(1.5, 3.8), seated=0.6, table=1.0, cut=0.4),
    "read": Action(move=gestures.read, twin="type_keyboard", seconds=(1.7, 3.8), seated=0.5, paces=0.2, table=0.5, cut=0.4),
    "sit_down": Action(move=moves.sit_down, twin="squat", seconds=(1, 1.9), cut=0.3),
    "stand_up": Action(move=moves.stand_up, twin="sit_down", seconds=(1, 1.9), cut=0.3),
    "squat": Action(move=moves.squat, twin="sit_down", seconds=(1.3, 2.9), cut=0.25),
    "pick_up": Action(move=moves.pick_up, twin="put_on_shoe", seconds=(1.4, 2.5), seated=0.2, table=0.0, cut=0.15),
    "put_on_shoe": Action(move=moves.put_on_shoe, twin="pick_up", seconds=(1.8, 3.6), seated=0.45, table=0.0, cut=0.15),
    "kick": Action(move=moves.kick, twin="hop", seconds=(1.2, 1.7)),
    "hop": Action(move=moves.hop, twin="jump_up", seconds=(1.6, 2.9)),
    "jump_up": Action(move=moves.jump_up, twin="hop", seconds=(1.2, 2.7)),
    "walk": Action(move=moves.walk, twin="stagger", seconds=(1.5, 2.7), cut=0.4),
    "stagger": Action(move=moves.stagger, twin="walk", seconds=(1.7, 3.2), cut=0.3),
    "handshake": Action(move=pairs.handshake, twin="hand_over", seconds=(1.5, 3.2), people=2),
    "hand_over": Action(move=pairs.hand_over, twin="handshake", seconds=(1.5, 2.9), people=2),
    "high_five": Action(move=pairs.high_five, twin="punch", seconds=(1.2, 2.4), people=2),
    "punch": Action(move=pairs.punch, twin="push", seconds=(1.2, 2.2), people=2),
    "push": Action(move=pairs.push, twin="punch", seconds=(1.3, 2.4), people=2),
    "hug": Action(move=pairs.hug, twin="push", seconds=(2.2, 3.6), people=2),
    "walk_towards": Action(move=pairs.walk_towards, twin="walk_apart", seconds=(1.4, 2.5), people=2, cut=0.3),
    "walk_apart": Action(move=pairs.walk_apart, twin="walk_towards", seconds=(1.4, 2.5), people=2, cut=0.3),
}
CLASSES = tuple(ACTIONS)
