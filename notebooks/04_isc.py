# %% [markdown]
# # ISC: one movement, several notations
#
# *Skeleton-Contrastive 3D Action Representation Learning* (Thoker, Doughty, Snoek, ACM Multimedia 2021, arXiv 2108.03656).
# A moving body can be written down as a **sequence** of numbers, as a **graph** of joints, or as an **image**. Each notation has
# its own kind of network, and each network its own blind spots. ISC lets two of them teach each other: a clip written one way must
# find the same clip written the other way.
#
# By the end you can say which query meets which key in which queue, and whether two encoders that were only ever compared *with
# each other* also come to agree with themselves.

# %% tags=["parameters"]
import os

SMOKE = bool(os.environ.get("SKELBENCH_SMOKE"))  # a few seconds, to see that everything runs
SIZE = 240 if SMOKE else 800  # clips
EPOCHS = 2 if SMOKE else 40

# %%
import copy

import torch

import skelbench as sb
from skelbench.nets.hcn import HCN
from skelbench.skeleton.augment import Views, centre_crop_resize
from skelbench.skeleton.normalise import preset
from skelbench.widgets.layouts_picture import layouts

data = sb.load(f"playground:{SIZE}")
run = sb.start("isc", data, epochs=EPOCHS)
run.config.method_config.pair, run.config.method_config.mode

# %% [markdown]
# ## One clip, three layouts
#
# The same joints, `(coordinates, frames, joints, bodies)`, before any training.
#
# * **Sequence**: every frame is one long vector, all joints one after the other; a GRU reads frame after frame. It sees time
#   best, and knows nothing of a body: shuffle the rows and it would not mind.
# * **Graph**: every joint keeps its place on the body, and A-GCN mixes joints along the bones. What it mixes is bones (fixed) plus
#   links it learns, plus attention it makes for each clip; the dashed lines and the three small matrices are those last two.
# * **Image**: *joints become the channels of a picture*, as red, green and blue are of a photograph. HCN's convolutions see all
#   joints at once from the first layer on.

# %%
wave = data.labels.tolist().index(data.classes.index("wave"))
batch = data.batch([wave])
joints = preset("isc").apply(batch.joints, batch.lengths, data.topology)
size = run.config.method_config.views.frames
shape = {"topology": data.topology, "bodies": data.bodies, "coordinates": data.coordinates}
image = HCN(HCN.Config(rows=size, columns=16), generator=torch.Generator().manual_seed(0), **shape)
graph = run.method.query["graph"].encoder


def draw(x, title):
    return layouts(x[0], data.topology, graph=graph, image=image, title=title)


draw(centre_crop_resize(joints, batch.lengths, frames=size), "wave")

# %% [markdown]
# And here is a *view* of it, cut and sheared. Look at what a shear does in each notation: in the sequence, the numbers of a joint
# leak into each other; the graph's body leans over; the image keeps its shape and changes its tones. **Both notations of a view
# share its augmentation**: what differs between the two encoders is the notation alone.

# %%
sheared = Views(frames=size, minimum=16, p_shear=1.0, p_mask=0.0, p_corrupt=0.0)
draw(sheared.view(joints, batch.lengths, data.topology, torch.Generator().manual_seed(3)), "wave, a sheared view")

# %% [markdown]
# ## Who meets whom
#
# Four encoders: $f_q$ and $f_r$ learn (sequence, graph), $f_k$ and $f_l$ follow them slowly. Two views of a clip:
# view 1 becomes queries $q, r$, view 2 becomes keys $k, l$. Past keys wait in two queues, $Q_1$ of sequences, $Q_2$ of graphs.
#
# $$L_1 = -\log\frac{e^{q\cdot l/T}}{e^{q\cdot l/T}+\sum_{n\in Q_2}e^{q\cdot n/T}},\qquad
# L_2 = -\log\frac{e^{r\cdot k/T}}{e^{r\cdot k/T}+\sum_{n\in Q_1}e^{r\cdot n/T}}$$
#
# A query meets the **other** key among the **other** queue. Mix up the queues, and the loss can be lowered without looking at the
# clip: it would be enough to tell graphs from sequences. Here the first loss is recomputed from its definition:

# %%
method, T = copy.deepcopy(run.method), run.config.method_config.temperature
some = data.batch(run.split.train[:16])
some = some.with_joints(preset("isc").apply(some.joints, some.lengths, data.topology))
generator = torch.Generator().manual_seed(0)
graphs = method.queue["graph"].keys.clone()  # Q2, as it is before the step
with torch.no_grad():
    found = method.contrast(*method.views(some, generator), generator)
q, key = found["seq"].q, found["seq"].k  # the key that a sequence query is to find is the graph's, l
logits = torch.cat([(q * key).sum(dim=1, keepdim=True), q @ graphs.T], dim=1) / T
by_hand = -torch.log(logits.exp()[:, 0] / logits.exp().sum(dim=1)).mean()
print(f"L1 by hand {by_hand:.4f}   by the method {found['seq'].loss:.4f}   guessing costs {method.chance / 2:.4f}")

# %% [markdown]
# Before anything is trained, a first judgement for later: how good are the neighbours of both encoders as they are?

# %%
from skelbench.evaluate import KNN, Table, evaluate, floors

across = ("seq", "graph")
judged = []
for use in across:
    judged += evaluate(run.set(use=use), protocols=(KNN(),), name=f"{use}, untrained")

# %% [markdown]
# ## Train, and ask how well they agree
#
# After every few epochs, on clips of subjects that are *not* trained on: do the two views of a clip lie together, across the
# notations and within each? Do the two encoders call the same clips neighbours? Beside it a control: the same two encoders, each
# contrasted only **with itself** (`mode="intra"`), on the same views.

# %%
from skelbench.explain.agreement import agreement
from skelbench.train import Epoch

rows = run.split.validation
control = sb.start("isc", data, epochs=EPOCHS, mode="intra")
history = {}
for name, one in (("inter", run), ("intra", control)):
    history[name] = [agreement(one.method, data, rows)]
    for event in one:
        if isinstance(event, Epoch) and (event.epoch + 1) % (1 if SMOKE else 4) == 0:
            history[name].append(agreement(one.method, data, rows))
epochs = [i * (1 if SMOKE else 4) for i in range(len(history["inter"]))]

# %%
from skelbench.widgets.still import Chart, charts


def over(name, what):
    return [what(a) for a in history[name]]


charts(
    [
        Chart(
            title="own clip found: trained across",
            x=epochs,
            lines={f"{a} finds {b}": over("inter", lambda h, p=(a, b): h.found[p]) for a in across for b in across},
            levels={"chance": 1 / len(rows)},
        ),
        Chart(
            title="own clip found: each with itself",
            x=epochs,
            lines={f"{a} finds {b}": over("intra", lambda h, p=(a, b): h.found[p]) for a in across for b in across},
            levels={"chance": 1 / len(rows)},
        ),
        Chart(
            title=f"common among the {history['inter'][0].k} nearest clips",
            x=epochs,
            lines={"across": over("inter", lambda h: h.overlap), "with itself": over("intra", lambda h: h.overlap)},
            levels={"chance": history["inter"][0].chance},
        ),
        Chart(
            title="key encoder and query encoder",
            x=epochs,
            lines={f"{name}, {a}": over(name, lambda h, a=a: h.drift[a]) for name in history for a in across},
            levels={},
        ),
    ]
)

# %%
for name, told in history.items():
    first, last = told[0], told[-1]
    print(f"{name}: common neighbours {first.overlap:.1%} -> {last.overlap:.1%} (chance {last.chance:.1%})")
    for pair in last.found:
        trained = "trained" if (pair[0] == pair[1]) == (name == "intra") else ""
        shown = f"own clip found {first.found[pair]:6.1%} -> {last.found[pair]:6.1%}, mean cosine {last.cosine[pair]:5.2f}"
        print(f"   {pair[0]:>5} -> {pair[1]:<5} {shown}   {trained}")

# %% [markdown]
# Two things to read off:
#
# * **Across**: the pairs marked *trained* rise, and *graph finds graph* rises with them, though no loss ever asked for it. *Seq
#   finds seq* moves least: the sequence encoder knew its clips best before training. The reverse does not hold: in the control each
#   encoder finds its own clips, better than here, and the two remain strangers, for nothing ties one sphere to the other.
# * **Common neighbours** counts features, not latents, and needs no shared sphere: do both encoders think the same clips are alike?
#   They agree long before training, because they look at the same bodies; contrast across makes them agree more, contrast of each
#   with itself hardly.
#
# The last chart is a check of the machine. A key encoder lags behind its query encoder most when learning is fastest, and catches
# up afterwards; a curve that only ever falls would tell of a key encoder that stands still.
#
# ## What it is worth
#
# Downstream *one* encoder is kept, in the paper the sequence encoder. Here are both, on people seen in no training.

# %%
for use in across:
    judged += evaluate(run.set(use=use), protocols=(KNN(),), name=f"{use}, isc")
    judged += evaluate(control.set(use=use), protocols=(KNN(),), name=f"{use}, with itself")
judged += floors(data, run.split, beside=run.config.method_config, protocols=(KNN(),))
Table(judged)

# %% [markdown]
# An untrained GRU on joints is a hard floor for a small data set, an untrained graph an easy one (`random` is another draw of it):
# compare each encoder with itself, and with the other way to train it. These encoders are small and were trained for minutes, on
# clips made by a program; what the paper reports took 450 epochs of 40,000 recordings. What carries over is the way to compare.
#
# ## Where the graph looks
#
# The same clip with the graph as it is now. `explain` gives the same links as numbers, and which joints and frames the features
# hang on.

# %%
draw(centre_crop_resize(joints, batch.lengths, frames=size), "wave, after training")

# %%
run.set(use="seq")
told = run.method.explain(batch.with_joints(joints))
share = told.joints[0].sum(dim=0)
for j in share.argsort(descending=True)[:6].tolist():
    print(f"{data.topology.joints[j]:>16}  {share[j]:6.1%}")

# %% [markdown]
# **Try**: `sb.start("isc", data, pair=("seq", "image"))`, `pair=("graph", "image")`, `mode="intra", pair=("image",)`. Does a pair
# whose notations differ more agree less, and is that good or bad for what comes after?
