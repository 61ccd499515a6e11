# %% [markdown]
# # PSUMNet: the body in parts, and everything at once
#
# *PSUMNet: Unified Modality Part Streams are All You Need for Efficient Pose-based Action Recognition* (Trivedi,
# Sarvadevabhatla, ECCV 2022 workshops, arXiv 2208.05775). Graph networks on skeletons used to be trained four times, on joints,
# bones and the velocities of both, and the scores were added. PSUMNet turns this round: the four *modalities* are one input of 12
# channels, and the *streams* that are added are **parts of the body**. A part is smaller than the body, so its network may be
# shallower, and the whole costs less than what it replaces.
#
# By the end you can say what each stream reads, what its graph has learned, and how far the weights of a sum may be trusted.

# %% tags=["parameters"]
import os

SMOKE = bool(os.environ.get("SKELBENCH_SMOKE"))  # a few seconds, to see that everything runs
SIZE = 240 if SMOKE else 1200  # clips
EPOCHS = 1 if SMOKE else 20

# %%
import torch

import skelbench as sb
from skelbench.data.loader import Loader
from skelbench.skeleton.part_streams import MODALITIES, part_streams

data = sb.load(f"playground:{SIZE}")

# %% [markdown]
# ## Three streams
#
# `body` has all joints, `hand` both arms with their hands, `leg` both legs. Each keeps its place in space: nothing is centred anew,
# so a hand above the head is above the head in the hand stream, too. Below, blue is what a stream has; thin lines are the body.

# %%
from skelbench.widgets.parts_picture import parts_on_body

parts_on_body(data[4])

# %% [markdown]
# ### Two readings
#
# The released code has a slip: the list of the leg's bones is off by one on the right side. Its right hip hangs on the *left foot*,
# and its right foot on nothing. Whether the published numbers were made with it, nobody has said. So both can be had:
# `reading="faithful"` is what was released, `reading="fixed"` the tree one would expect. Parameters are as many; A is learned
# anyway, so the network can mend a wrong beginning, but it cannot mend a bone vector.

# %%
parts_on_body(data[4], reading="faithful")

# %% [markdown]
# Parts come from the layout, not from the Kinect: any skeleton that says where its arms and legs are has streams, and a layout that
# *is* a hand has the hand stream alone.

# %%
for name in ("kinect_v2_25", "ntu_x_67", "shrec17_hand_22", "cmu_asf_31", "coco_17"):
    found = part_streams(sb.topology(name))
    print(f"{name:16}", ", ".join(f"{part} {stream.V} joints" for part, stream in found.items()))

# %% [markdown]
# ## Four modalities, one input
#
# Positions, bones (a joint less its parent), and how both change from frame to frame: 4 x 3 = 12 channels. Here is one joint of one
# clip in all of them, first coordinate, as the network sees it.

# %%
from skelbench.widgets.still import Chart, charts

run = sb.start("psumnet", data, epochs=EPOCHS, drops=(max(1, round(0.75 * EPOCHS)),))
loader = Loader(data, run.split.validation[:8], batch_size=8, preset=run.config.train.normalise, shuffle=False)
batch = next(iter(loader.batches()))
read = run.method.unified("hand", run.method.view(batch))  # (N, 12, T, V, M)
wrist = [data.topology.joints[j] for j in run.method.parts["hand"].joints].index("right_wrist")
lines = {name.replace("_", " "): read[0, 3 * i, :, wrist, 0].tolist() for i, name in enumerate(MODALITIES)}
charts(
    [
        Chart(title=f"right wrist, {name}", x=range(read.shape[2]), lines={"x": values}, levels={"0": 0}, xlabel="frame")
        for name, values in lines.items()
    ]
)

# %% [markdown]
# ## Training: three networks, one pass
#
# The streams share no weight, so the sum of their losses trains each as if it were alone. They see the same crops, cut once.
#
# The released recipe let the **test side** halve the learning rate, pick the epoch and choose the weights of the sum. In the preset
# `paper` held-out training subjects do the first two; the small preset here simply has a fixed schedule.

# %%
run.run(progress=False)
run

# %%
curves = {}
for name in run.method.streams:
    values = torch.tensor(run.metrics[f"accuracy_{name}"])
    size = max(1, len(values) // 60)
    curves[name] = values[: len(values) // size * size].unflatten(0, (-1, size)).mean(dim=1).tolist()
charts([Chart(title="accuracy on training crops", x=range(len(curves["body"])), lines=curves, levels={}, xlabel="time")], columns=1)

# %% [markdown]
# ## What the graphs have learned
#
# In every block a joint takes from others along three graphs: itself, inward (a parent from its children), outward. They begin as
# the bones and are free afterwards: **A**. On top, each clip bends them a little, channel by channel, by how different two joints
# are:
#
# $$z_{ctu}=\sum_v\big(\alpha\,Q_{cuv}+A_{uv}\big)\,(W_3x)_{ctv},\qquad Q=W_4\tanh(\overline{W_1x}_u-\overline{W_2x}_v)$$
#
# $\alpha$ starts at 0: at the first step the clip has no say, and $W_1, W_2, W_4$ get no gradient until it moves.

# %%
from skelbench.widgets.parts_picture import learned_graphs

hand = run.method.parts["hand"]
joints = tuple(data.topology.joints[j] for j in hand.joints)
learned_graphs(run.method.nets["hand"], hand.graph(), names=joints)

# %% [markdown]
# Rows take from columns. Look for entries away from the bones: the two hands often come to listen to each other, which no bone
# would let them do in one step.
#
# ## Adding up
#
# Each stream has its own classifier. Their scores are added with weights. **Drag the sliders**: accuracy and the matrix beside it
# follow. The matrix shows what changed: on its diagonal, blue means more clips are right; beside it, blue means fewer mistakes.
# Arrow keys walk over its cells. The clips are those of *validation* subjects, by whom one may choose.

# %%
from skelbench.widgets import StreamMixer

mixer = StreamMixer.of(run)
mixer.weights, mixer.against = {"body": 2.0, "hand": 1.8, "leg": 0.7}, "body"
mixer

# %% [markdown]
# The paper's weights, 2 : 1.8 : 0.7, were chosen on test scores. How much can that be worth? Here the weights are chosen once by
# validation and once, as one should not, by test, and both are measured on test. The difference is what such a look buys.

# %%
from skelbench.evaluate.fusion import simplex

test = StreamMixer.of(run, side="test")
grid = [dict(zip(mixer.scores, w, strict=True)) for w in simplex(len(mixer.scores), 10)]
by_validation = max(grid, key=lambda w: mixer.mixed(w).accuracy)
by_test = max(grid, key=lambda w: test.mixed(w).accuracy)
for name, weights in (("equal", test.ways["equal"]), ("chosen by validation", by_validation), ("chosen by test", by_test)):
    told = ", ".join(f"{stream} {w:g}" for stream, w in weights.items())
    print(f"{name:21} {told:30} test {test.mixed(weights).accuracy:6.1%}")

# %% [markdown]
# Every stream alone and their sums are also one protocol; from a shell, `skelbench evaluate RUN --protocol streams`.

# %%
from skelbench.evaluate import Streams, evaluate

for row in evaluate(run, protocols=[Streams()]):
    print(f"{row.protocol:28} {row.accuracy:6.1%}")

# %% [markdown]
# ## What it costs
#
# The paper's point is efficiency, and four different numbers go by the name of FLOPs. `cost` counts them side by side; its last
# line says how the published ones come about. Here for the small network, one row a stream:

# %%
from skelbench.explain.cost import cost

found = cost(run.method)
for row in (*found.streams(), found.total):
    counts = f"{row.multiply_adds / 1e6:6.2f} M multiply-adds, {row.executed / 1e6:6.2f} M executed"
    print(f"{row.stream:6} {row.parameters:8,} parameters, {counts}")
print(found.note)

# %% [markdown]
# **Things to try next.** `modalities=("joint",), streams=("body",)` is the single stream everything is compared with;
# `sb.start("stgcnpp", data)` is another network on the same views. `reading="faithful"` begins with the wrong leg. And
# `skelbench export RUN --onnx net.onnx` writes the three streams and their sum as one file for onnxruntime, checks that it
# gives the same numbers, and times it beside PyTorch.
