# %% [markdown]
# # HaLP: positives that no augmentation made
#
# *Hallucinating Latent Positives* (Shah et al., CVPR 2023, arXiv 2304.00387). A contrastive method pulls a clip's two views
# together on a sphere of features. HaLP asks: what if we could have more positives than augmentations give us, and choose how
# **hard**
# they are? It invents them in the latent space, for a few dot products each.
#
# By the end you can say, looking at a picture, what a prototype is, where the boundary lies, and what hardness does.

# %% tags=["parameters"]
import os

SMOKE = bool(os.environ.get("SKELBENCH_SMOKE"))  # a few seconds, to see that everything runs
SIZE = 240 if SMOKE else 1200  # clips
EPOCHS = 2 if SMOKE else 60

# %%
import torch

import skelbench as sb

data = sb.load(f"playground:{SIZE}")
run = sb.start("halp", data, epochs=EPOCHS, plain_epochs=EPOCHS // 2)
run.run(progress=False)

# %% [markdown]
# ## The construction
#
# Take a clip's key $a$ (the *anchor*, a unit vector) and cluster the newest keys into prototypes. $p_0$ is the prototype nearest to
# $a$; draw another, $p_s$, and walk from $a$ towards it along the great circle:
#
# $$z(t) = \frac{\sin((1-t)\,\Omega)\,a + \sin(t\,\Omega)\,p_s}{\sin\Omega},\qquad \Omega = \angle(a, p_s)$$
#
# A positive must stay *the same kind of movement* as its anchor: still no nearer to $p_s$ than to $p_0$. The farthest point that
# obeys has a closed form,
#
# $$t_{max} = \tfrac{1}{\Omega}\,\mathrm{atan2}\big(A\sin\Omega,\; B + A\cos\Omega\big),\qquad
# A = a\cdot p_0 - a\cdot p_s,\quad B = 1 - p_0\cdot p_s$$
#
# and **hardness** $h$ says how near to it positives are drawn: $t$ uniform in $(h\,t_{max},\,t_{max}]$. At 0 they lie anywhere
# between
# the anchor and the boundary; at 1 all lie on the boundary. (The paper's $\lambda$ is $1-h$; its default 0.8 is hardness 0.2.)
#
# Let us check the formula against the definition, with no trust in algebra: try many $t$ and keep the largest that obeys.

# %%
g = torch.Generator().manual_seed(0)
a, *prototypes = torch.nn.functional.normalize(torch.randn(6, 16, generator=g, dtype=torch.float64), dim=1)
prototypes = torch.stack(prototypes)
nearest = int((prototypes @ a).argmax())
target = (nearest + 1) % 5
omega = torch.acos(a @ prototypes[target])
t = torch.linspace(0, 1, 100_001, dtype=torch.float64)[:, None]
walk = (torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * prototypes[target]) / torch.sin(omega)
obeys = walk @ prototypes[nearest] >= walk @ prototypes[target]
made = sb.hallucinate(a[None], prototypes, torch.tensor([[target]]), torch.zeros(1, 1, dtype=torch.float64))
print(f"largest t that obeys, by trying: {t[obeys].max():.5f}")
print(f"closed form:                     {made.t_max.item():.5f}")

# %% [markdown]
# ## The same on real features
#
# The lab draws it for the encoder that was just trained. **Move the hardness slider.** Left: the plane of the great circle with
# anchor, $p_0$, $p_s$ and the boundary; the dots are the positives, filled when the rank filter keeps them (it drops a point that
# strayed to a third prototype). Right: how the three similarities cross at $t_{max}$, how far positives lie from their anchors,
# and how many survive.
# Below, the anchor's body moves beside the *real clips* that lie nearest to the invented points.

# %%
lab = sb.PositiveLab.of(run)
lab

# %% [markdown]
# ## Are hard positives still the right movement?
#
# Labels were not used to make them, but we have labels here, so we can look: of the real clips nearest to the invented points,
# how many show the
# anchor's action?

# %%
from skelbench.explain.positives import PositiveStudy

study = PositiveStudy.of(run.method, data, run.split.train, generator=torch.Generator().manual_seed(0))
for hardness in (0.0, 0.25, 0.5, 0.75, 1.0):
    kept, same = study.kept_share(hardness), study.same_class(hardness)
    print(f"hardness {hardness:4.2f}:  kept by the rank filter {kept:6.1%}   nearest real clip shows the same action {same:6.1%}")

# %% [markdown]
# That is the trade: towards the boundary positives teach more, and lie more often.
#
# ## On the map
#
# The features of all clips; hover to play them. Use `run.branch(hardness=0.9)` to train on from here with harder positives and
# compare
# the two maps.

# %%
from skelbench.evaluate import extract

rows = run.split.test
features = extract(run.method, data, rows)
chart = sb.EmbeddingMap(sb.project(features.values, "pca" if SMOKE else "umap"), store=data, rows=rows)
chart

# %% [markdown]
# ## What it costs and what it brings
#
# In training no point $z$ is ever formed: $q\cdot z$ and the rank filter need only the dot products with anchors and
# prototypes. That is
# why a HaLP step costs about as much as a MoCo step (`make bench` prints the ratio on your machine). What it brings in accuracy
# depends on the data;
# the README's table says what was measured, floors included.
