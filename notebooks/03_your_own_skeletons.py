# %% [markdown]
# # Your own skeletons: from a folder on your disk to a dataset you can trust
#
# Public datasets come with 25 joints, two bodies and a folklore of traps. Yours comes as a spreadsheet of something nobody has a
# layout for. This lesson takes such a folder, nine markers on four dogs, all the way: **describe** it, give it a **skeleton**,
# **import** it, read its **card**, part it so that nothing leaks, and see what a **normalisation** made for people does to a dog.
#
# Nothing here depends on dogs. Replace the folder by your own and go on from the second section.

# %% tags=["parameters"]
import os

SMOKE = bool(os.environ.get("SKELBENCH_SMOKE"))  # fewer takes, to see that everything runs
TAKES = 2 if SMOKE else 6  # of every dog and action

# %% [markdown]
# ## 1. A folder
#
# Let us write what a capture system might have left: one CSV, a row a frame, centimetres, z up, some marker lost now and then. The
# dogs are invented (a few sines), their owner's habits are not: columns called `dog` and `action`, and no word on the skeleton.

# %%
import csv
import json
from pathlib import Path

import numpy as np

FOLDER = Path("my_dogs")
MARKERS = ["hips", "head", "tail", "left_shoulder", "right_shoulder", "left_fore", "right_fore", "left_hind", "right_hind"]
STAND = np.array([[0, 0, 45], [62, 0, 64], [-18, 0, 55], [45, 8, 46], [45, -8, 46], [45, 8, 0], [45, -8, 0], [0, 8, 0], [0, -8, 0]])
GAITS = {"walk": (55, 1.1, 12, (0.0, 0.5, 0.75, 0.25)), "trot": (150, 2.2, 16, (0.0, 0.5, 0.5, 0.0))}  # cm/s, Hz, step, phases


def moving(action, rng, frames=60):
    """(T, 9, 3) centimetres: x forward, y to the left, z up."""
    t = np.arange(frames) / 30 + rng.uniform(0, 1)
    x = np.tile(STAND.astype(float), (frames, 1, 1))
    if action in GAITS:
        speed, rate, step, phases = GAITS[action]
        for paw, phase in enumerate(phases):
            at = 2 * np.pi * (rate * t + phase)
            x[:, 5 + paw, 0] += step * np.cos(at)
            x[:, 5 + paw, 2] += 0.6 * step * np.clip(np.sin(at), 0, None)
        x[:, :5, 2] += (1.0 + speed / 60) * np.sin(4 * np.pi * rate * t)[:, None]
        x[..., 0] += speed * t[:, None]
    if action in ("sit", "give_paw"):
        down = 1 / (1 + np.exp(-8 * (t - t[0] - 0.6)))  # 0 standing, 1 sitting
        x[:, [0, 2], 2] -= 30 * down[:, None]
        x[:, [0, 2], 0] += 8 * down[:, None]
        x[:, 1, 2] += 6 * down
    if action == "give_paw":
        lift = np.clip(1.2 * (t - t[0]) - 1.0, 0, 1)
        x[:, 5, 2] += 34 * lift + 3 * np.sin(9 * t) * lift
        x[:, 5, 0] += 14 * lift
    if action == "jump":
        high = np.clip(np.sin(2 * np.pi * 0.8 * t), -0.35, None)
        x[..., 2] += 45 * np.clip(high, 0, None)[:, None]
        x[:, :5, 2] += 18 * np.clip(high, None, 0)[:, None]
    x[:, 2, 1] += (14 if action == "wag" else 4) * np.sin(2 * np.pi * (3 if action == "wag" else 1) * t)
    return x


def recorded(action, size, rng):
    """The same dog somewhere in the room, with a sensor's noise; NaN where the tail marker was lost."""
    x, turn = size * moving(action, rng), rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(turn), np.sin(turn)
    x = x @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + [rng.uniform(-80, 80), rng.uniform(-80, 80), 0]
    x += rng.normal(scale=0.4, size=x.shape)
    if rng.random() < 0.4:
        begin = rng.integers(0, 45)
        x[begin : begin + 12, 2] = np.nan
    return x


FOLDER.mkdir(exist_ok=True)
rng = np.random.default_rng(7)
with (FOLDER / "takes.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["clip", "frame", "dog", "action", *(f"{marker}_{axis}" for marker in MARKERS for axis in "xyz")])
    for dog, size in (("bella", 0.8), ("chip", 0.95), ("otto", 1.1), ("rex", 1.3)):
        for action in ("walk", "trot", "sit", "give_paw", "jump", "wag"):
            for take in range(TAKES):
                for frame, row in enumerate(recorded(action, size, rng)):
                    cells = ["" if np.isnan(v) else f"{v:.2f}" for v in row.ravel()]
                    table.writerow([f"{dog}_{action}_{take}", frame, dog, action, *cells])
print((FOLDER / "takes.csv").read_text()[:330])

# %% [markdown]
# ## 2. Describe
#
# Before importing anything, ask what is there. `describe` reads a little, imports nothing, and works on any path: a folder of one
# of the public datasets, a single file, a zip archive, or something no reader knows.

# %%
import skelbench as sb

sb.describe(FOLDER)

# %% [markdown]
# It found clips, frames, classes and joints by the names of their columns. Two things it cannot know: that `dog` says who performs,
# and how the markers hang together. **Never guess a layout from the number of joints** (25 may be a Kinect's or OpenPose's, in
# another order): say it.
#
# ## 3. A skeleton is one JSON file
#
# Names, and for every name the number of its parent (-1 is the root). That is all that is needed: left, right and the shoulders are
# read off the names. What they do not say, or would say wrongly of a dog, may be added: which joint is the *centre* and which two
# make the *spine*, because some normalisations move and turn a body by them, and which *parts* it has, because some augmentations
# mask them.

# %%
skeleton = {
    "name": "dog",
    "joints": MARKERS,
    "parents": [-1, 0, 0, 0, 0, 3, 4, 0, 0],
    "center": 0,
    "spine": [0, 1],
    "parts": {"torso": [0, 1, 2], "left_arm": [3, 5], "right_arm": [4, 6], "left_leg": [7], "right_leg": [8]},
}
(FOLDER / "dog.json").write_text(json.dumps(skeleton))
dog = sb.Topology.from_json(FOLDER / "dog.json")
print("mirror pairs, from the names:", [(dog.joints[a], dog.joints[b]) for a, b in dog.pairs])
print("shoulders, from the names:", [dog.joints[j] for j in dog.shoulders])

# %% [markdown]
# ## 4. Import
#
# Now every clip is read, checked and written; the dataset appears whole or not at all. The unit is centimetres and z points up, so
# we say so, and the store holds what every dataset holds: metres, y up. The split is checked at once: four dogs, trained on some,
# tested on others.

# %%
options = {
    "topology": FOLDER / "dog.json",
    "split": "cross_subject",
    "subject": "dog",  # from here on options of the reader
    "scale": 0.01,
    "up": "z",
}
data = sb.import_data(FOLDER, "dogs", progress=False, overwrite=True, **options)
data

# %% [markdown]
# The same from a shell:
#
#     skelbench data import my_dogs --name dogs --topology my_dogs/dog.json --split cross_subject \
#         subject=dog scale=0.01 up=z
#
# Do it again and nothing happens: same files, same settings, done already. Change a file and it refuses until you say `overwrite`,
# so that a result can always be traced to what it was computed from.

# %%
again = sb.import_data(FOLDER, "dogs", **options)

# %% [markdown]
# And when a file is broken? One line that names it, and what was wanted; the dataset stays as it was.

# %%
broken = Path("my_dogs_broken")
broken.mkdir(exist_ok=True)
lines = (FOLDER / "takes.csv").read_text().splitlines()
lines[100] = lines[100].replace(lines[100].split(",")[7], "n/a", 1)
(broken / "takes.csv").write_text("\n".join(lines))
try:
    sb.import_data(broken, "dogs", progress=False, overwrite=True, **options)
except sb.DataError as error:
    print(error)

# %% [markdown]
# ## 5. Look at it
#
# Numbers come later. First: do they move like what they are called? Left limbs are blue, right ones orange and dashed.

# %%
first = {name: int(np.flatnonzero(data.labels == label)[0]) for label, name in enumerate(data.classes)}
sb.SkeletonPlayer([data[row] for row in first.values()], titles=list(first), height=320)

# %% [markdown]
# ## 6. The card
#
# One page on the dataset, to keep beside it: class counts on each side of the split, lengths, how rigid the bones are, what is
# missing. `skelbench data card dogs` writes it as a file that needs no network.
#
# Two things to read off it. **The tail**: the marker that was lost now and then stands under *What is missing*; empty cells became
# a joint that is not there. **The bones**: hips and shoulders keep their distance, but "shoulder to paw" is no bone. A leg bends,
# so it grows and shrinks in every step. A skeleton of nine markers has edges that are not rigid, and the card says which.

# %%
from skelbench.widgets.card import card

card(data)

# %% [markdown]
# ## 7. Splits: what may be on both sides?
#
# Two takes of one dog are more alike than two dogs. If takes of the same dog stand on both sides, a test measures how well the
# *dog* is recognised. So the sides are parted by dog, and settings are chosen on dogs held out of the training side, never on
# the test dogs.

# %%
from skelbench.data import loso_splits

print(sb.make_split(data, "cross_subject"))
for split in loso_splits(data):
    print(split)

# %% [markdown]
# ## 8. Normalisation: before and after
#
# A sensor sees where the dog stands and which way it faces; an action is neither. Presets bring clips into one frame of
# reference, each as one published code base does it. Here is one walk as recorded, then after `ctrgcn` (moved so that the first
# frame's centre is the origin) and after `isc` (every frame centred, spine turned to +z, shoulders to +x).

# %%
import torch

from skelbench.skeleton.clip import Clip
from skelbench.skeleton.normalise import preset


def normalised(rows, name):
    """Clips after a preset, as clips again."""
    batch, chosen = data.batch(rows), preset(name)
    joints, lengths = chosen.run(batch.joints, batch.lengths, data.topology)
    clips = [x[:, :n].permute(1, 3, 2, 0).numpy() for x, n in zip(joints, lengths, strict=True)]  # (T, M, V, C)
    return [Clip(joints=x, topology=data.topology, fps=data.meta.fps, up="z" if chosen.vertical == 2 else "y") for x in clips]


upright = normalised(range(len(data)), "isc")
head = torch.tensor([clip.joints[0, 0, dog.joint("head"), 2] for clip in upright])  # above the hips, which are the origin
walks = [row for row in range(len(data)) if data.labels[row] == data.classes.index("walk")]
walk = max(walks, key=lambda row: head[row])
shown = [data[walk], *normalised([walk], "ctrgcn"), upright[walk]]
sb.SkeletonPlayer(shown, titles=["as recorded", "ctrgcn", "isc"], face=False)

# %% [markdown]
# `isc` stands the dog on its hind legs. It was made for people, whose spine points up, and does exactly what it says: spine to +z.
# That is not wrong as such (all dogs now stand alike), but a turn about the vertical, a common augmentation, now turns about the
# dog's spine. And there is a second surprise in it. Let us count on which side of the hips the heads are.

# %%
print(f"{int((head < 0).sum())} of {len(data)} clips hang head down")
fallen = int(head.argmin())
sb.SkeletonPlayer([data[fallen], upright[fallen]], titles=["as recorded", "isc"], face=False)

# %% [markdown]
# The recipe turns the shoulders to +x *by the smallest rotation*. Where they point almost exactly the other way, that is half a
# turn, about whichever axis the noise picks; now and then it goes through the floor. The same can happen to people who turn their
# back to the sensor. It is the published recipe, so skelbench does it, too: a number from a paper includes it.
#
# How much does all this matter? Ask a judge who learns nothing: the nearest neighbour among the joints themselves (`raw`), on dogs
# it has not seen.

# %%
from skelbench.evaluate import KNN, floors

split = sb.make_split(data, "cross_subject")
for name in ("none", "ctrgcn", "isc"):
    (raw,) = floors(data, split, preset=name, protocols=[KNN()], seeds=[])  # no untrained encoder, only the joints
    print(f"{name:8} {raw.accuracy:6.1%} of {raw.n} clips of unseen dogs (chance: {1 / len(data.classes):.1%})")

# %% [markdown]
# The same clips, the same judge: taking out where the dog stood changes more than many a method does. And what a number means is
# up to you: `isc` throws the walk through the room away, so nothing is left of how fast a dog moved.
#
# A preset can be baked in at import (`preset="isc"`, or `--preset isc`); the dataset then says so, and no run applies it twice.
# As a rule leave the data as recorded, and let every run choose: `sb.start("halp", data, normalise="ctrgcn")`.
#
# **From here** everything in the other lessons works on your own data: `skelbench demo --data dogs` trains on it, measures it
# beside the floors and writes a page whose bodies are your dogs.
