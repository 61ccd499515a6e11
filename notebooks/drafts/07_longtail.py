# %% [markdown]
# # The long tail: many of some, few of others
#
# *Balanced Representation Learning for Long-tailed Skeleton-based Action Recognition* (Liu et al., 2023, arXiv 2308.14024). In the
# usual datasets every action is recorded equally often. Life is not like that: people walk all day and fall rarely, and the fall is
# what one wants to notice. A network trained on such data is right on average and wrong where it matters.
#
# BRL changes nothing about the network (ST-GCN++) and four things about its training. By the end of this lesson you can say
# what each
# of the four does, read a result that does not hide whom it was won on, and know a trap in the method as it was released.

# %% tags=["parameters"]
import os

SMOKE = bool(os.environ.get("SKELBENCH_SMOKE"))  # a few seconds, to see that everything runs
SIZE = 300 if SMOKE else 2000  # clips
IMBALANCE = 5 if SMOKE else 20  # of the training side: clips of the most frequent class over clips of the rarest
PRESET = "smoke" if SMOKE else "demo"
EPOCHS = 2 if SMOKE else 6

# %%
import torch

import skelbench as sb

data = sb.load(f"playground:{SIZE}")
split = sb.make_split(data, f"xsub@lt{IMBALANCE}")
print(split)

# %% [markdown]
# ## What a long tail is
#
# $$n_c=\Big\lfloor n_{\max}\,f^{\,c/(C-1)}\Big\rfloor,\qquad f=1/\text{imbalance}$$
#
# **Drag the imbalance.** The grey bars are the clips there are, class by class; the axis is logarithmic, so the profile is a
# straight
# line. The stairs are the clips that an epoch shows with BRL's *rebalanced sampler*: the rarest third of the classes is shown
# as often
# as the most frequent class. Look at the classes in the middle: nothing is done for them.

# %%
from skelbench.widgets import LongTailView

view = LongTailView(data.classes, largest=600, imbalance=100)
view

# %% [markdown]
# The second chart is the *action-aware loss* of the last stage: cross-entropy in which class $c$ weighs
#
# $$w_c\propto\frac{1-\beta_c}{1-\beta_c^{\,n_c}},\qquad\beta_c=0.99+0.0099\,\frac{n_c-n_{\min}}{n_{\max}-n_{\min}}$$
#
# The dashed line is the product of both: what a class has to say, clips shown times weight. That is the trap. **A rare class counts
# twice**, shown a hundred times as often and weighed a hundred times as much, and the middle has neither. Switch *weigh by* to
# *clips
# shown*: the weights then come from the epoch as it is shown, and the dashed line is flat.

# %%
for weigh in ("clips", "shown"):
    view.weigh = weigh
    say = view.numbers["say"]
    print(f"weigh by {weigh:6} most to say: {max(say):6.2f}   least: {min(say):.3f}   (1 is the mean)")

# %% [markdown]
# ## Mixed bodies
#
# *Rebalanced partial mixup*: one clip in sixteen gets the legs of another. Its label is shared, 16 of 25 joints for the upper body,
# unless one class is over three times as frequent; then the rarer one takes it all.

# %%
from skelbench.explain.tail import mixed_body
from skelbench.widgets import SkeletonPlayer

counts = torch.bincount(torch.from_numpy(data.labels[split.train_all].astype("int64")), minlength=len(data.classes))
often, rare = int(counts.argmax()), int(counts.argmin())


def clip_of(label, number=0):
    return data[int([r for r in split.train_all if data.labels[r] == label][number])]


mixed = mixed_body(clip_of(often), clip_of(rare), counts, data.classes)
SkeletonPlayer(list(mixed.clips), titles=list(mixed.titles))

# %% [markdown]
# The last body is no mistake of ours. The released code puts the joints of the upper and of the lower body one after the other and
# leaves them so: the hand sits where the hip should be, and the graph of the network, which knows where a hip is, sees a body
# that is
# none. `order="official"` trains with it, to reproduce numbers; `preserve` is what the paper says.
#
# Two classes of similar size share the label:

# %%
near = int((counts - counts[often] / 2).abs().argmin())
print(mixed_body(clip_of(often), clip_of(near), counts, data.classes).titles[2])
print(mixed.titles[2])

# %% [markdown]
# ## The skip stream
#
# Joints, and bones (joint minus parent), are the usual streams. BRL adds *skip*: joint minus **grand**parent. With the motion
# of each
# that makes six networks, whose probabilities are added 2 : 2 : 2 : 1 : 1 : 1.

# %%
from skelbench.skeleton.streams import ancestors

names = data.topology.joints
for joint in ("left_wrist", "left_hand_tip", "right_knee", "head"):
    j = names.index(joint)
    print(f"{joint:14} bone from {names[data.topology.parents[j]]:15} skip from {names[ancestors(data.topology, 2)[j]]}")

# %% [markdown]
# ## Does it help?
#
# The same network, the same number of clips shown, on the same long tail; only the switches differ. `plain` has all of them
# off. Both
# are tested on *all* clips of people who were never trained on, as many of a rare class as of a frequent one.

# %%
from skelbench.evaluate import LongTail, Trial, run_protocol

PLAIN = {"loss": "ce", "sampler": False, "mixup": 0.0}
found = {}
for name, switches in {"plain": PLAIN, "brl": {}}.items():
    run = sb.start(
        "brl", data, PRESET, split=split.name, refit=True, epochs=EPOCHS, switch=max(1, EPOCHS - 2), probe_every=0, **switches
    )
    run.run(progress=False)
    trial = Trial(method=run.method, store=data, split=split, preset=run.config.train.normalise)
    found[name] = run_protocol(LongTail(), trial)
    print(f"{name:6}", found[name])

# %% [markdown]
# *many*, *medium* and *few* are the thirds of the classes by training clips, and their accuracy is the mean over classes.
# Below, every
# class from the most frequent to the rarest: grey is plain, blue is BRL. Hover for names.

# %%
LongTailView(data.classes, largest=int(counts.max()), imbalance=IMBALANCE, weigh="shown", before=found["plain"], after=found["brl"])

# %%
compared = found["plain"].beside(found["brl"])
gain = {data.classes[c]: float(g) for c, g in enumerate(compared.gain) if g == g}
order = sorted(gain, key=gain.get)
print("lost most:  ", ", ".join(f"{n} {100 * gain[n]:+.0f}" for n in order[:4]))
print("gained most:", ", ".join(f"{n} {100 * gain[n]:+.0f}" for n in order[-4:][::-1]))
print("rare taken for frequent, plain:", found["plain"].taken(3) or "none")
print("rare taken for frequent, BRL:  ", found["brl"].taken(3) or "none")
compared

# %% [markdown]
# **Read it honestly.** One run of each says little; classes are easy or hard for reasons of their own (the playground's rarest
# classes
# are those of two people, which are easily told from all others as a group). What one sees again and again: balancing moves
# accuracy
# from frequent classes to rare ones. Whether the sum grows is the question, and the answer hangs on how rare the rare ones are.
#
# **Things to try next.** `loss="balanced_softmax"` with `sampler=False, mixup=0.0` is the strongest simple alternative.
# `weigh="clips"` is the release: see what happens to the middle. `order="official"`. One command compares them all, with seeds:
#
#     skelbench measure playground:6000 --split xsub@lt100 --protocol longtail --methods brl brl:loss=ce,sampler=false,mixup=0
