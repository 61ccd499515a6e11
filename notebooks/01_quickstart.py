# %% [markdown]
# # Quick start: a body, two views of it, and what an encoder makes of them
#
# Five steps, top to bottom in about two minutes on two cores:
# **look** at moving bodies, make **two views** of one, **train** an encoder that must recognise a clip from its views,
# **measure** it beside two floors, and **see** the map it drew of all movements.
#
# No label is used until the measuring.

# %% tags=["parameters"]
import os

SMOKE = bool(os.environ.get("SKELBENCH_SMOKE"))  # a few seconds, to see that everything runs
SIZE = 240 if SMOKE else 1200  # clips
EPOCHS = 2 if SMOKE else 60

# %%
import torch

import skelbench as sb

# %% [markdown]
# ## 1. Look at the data
#
# The *playground* is made here, from nothing but a seed: subjects of different build perform everyday actions in front of a
# noisy depth camera. Your own recordings come in with `sb.import_data(path, name)` and then work in every cell below.

# %%
data = sb.load(f"playground:{SIZE}")
data

# %%
wave, phone = (data.labels.tolist().index(data.classes.index(name)) for name in ("wave", "phone_call"))
sb.SkeletonPlayer([data[wave], data[phone]])

# %% [markdown]
# Drag to turn, wheel to zoom, space to play, arrows to step. Left limbs are dashed. Where the sensor lost a joint, it jumps;
# where it lost the frame, the body is gone: that is how such data comes.
#
# ## 2. Two views of a clip
#
# Contrastive learning needs no label because it makes its own task: *these two are the same clip, however I cut, sheared or masked
# it.* Here is one clip, normalised (every frame centred on the spine, turned so that the shoulders lie along x), and two views.

# %%
from skelbench.skeleton.augment import Views
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.normalise import preset

batch = data.batch([wave])
joints = preset("isc").apply(batch.joints, batch.lengths, data.topology)
generator = torch.Generator().manual_seed(3)
views = [Views(shear=0.5).view(joints, batch.lengths, data.topology, generator) for _ in range(2)]


def as_clip(x):
    """(1, C, T, V, M) in the normalised frame, where z is up, to a clip with y up."""
    x = x[0].permute(1, 3, 2, 0)[..., [0, 2, 1]] * torch.tensor([1.0, 1.0, -1.0])
    return Clip(joints=x.numpy(), topology=data.topology)


sb.SkeletonPlayer([as_clip(x) for x in (joints, *views)], titles=["normalised", "one view", "another view"])

# %% [markdown]
# ## 3. Train
#
# `start` gives a run; iterating over it *is* the training loop. `run.play()` would do the same on a worker thread, with `pause()`,
# `step()` and `branch()` while you watch. HaLP begins as plain contrast (MoCo) and then adds positives it invents; the next lesson
# is about those.

# %%
run = sb.start("halp", data, epochs=EPOCHS, plain_epochs=EPOCHS // 2)
run.run(progress=False)
run

# %% [markdown]
# ## 4. Measure, beside the floors
#
# Freeze the encoder and ask two simple judges: the nearest neighbour, and a linear classifier. **`random`** is the same encoder
# before training and **`raw`** the joints themselves. A method that does not rise above both has learned nothing that matters.
# The people tested on were never seen in training.

# %%
from skelbench.evaluate import Table, evaluate, floors

Table(evaluate(run) + floors(run.store, run.split, beside=run.config.method_config))

# %% [markdown]
# ## 5. See the map
#
# Every dot is a clip of the test subjects, placed by UMAP so that clips with similar features lie together. Hover: the body
# plays. Draw a
# lasso: up to eight bodies play together, and `chart.selection` holds their indices.

# %%
from skelbench.evaluate import extract

rows = run.split.test
features = extract(run.method, data, rows)
points = sb.project(features.values, "pca" if SMOKE else "umap")
chart = sb.EmbeddingMap(points, store=data, rows=rows)
chart

# %% [markdown]
# Look for two things: classes that form islands (which movements are easy?), and dots of one colour inside another island.
# Hover over
# such a dot and watch the body: often you will see *why* it went there.
#
# **Next:** `02_halp_hardness`, where the positives are invented, and a slider decides how hard they are.
