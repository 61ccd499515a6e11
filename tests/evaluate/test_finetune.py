"""Training for a protocol: against SGD by hand; the epoch is chosen without the test side; nothing of the method changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skelbench.data.loader import Loader
from skelbench.errors import ConfigError, DataError, RunError
from skelbench.evaluate import FineTune, Linear, OwnClassifier, Table, Trial, ViewsLinear, evaluate, floors
from skelbench.evaluate.sgd import Recipe
from skelbench.methods.backbone import classifier
from skelbench.methods.floors import Raw
from skelbench.methods.halp import HaLP
from skelbench.methods.supervised import Supervised
from skelbench.nets.gru import GRU
from skelbench.skeleton.augment import Views
from skelbench.skeleton.streams import stream

EMPTY = np.zeros(0, np.int64)


def by_hand(trial, rows, recipe, *, frozen):
    """SGD with momentum written out; features in eval mode where the encoder is frozen."""
    learner = classifier(
        trial.method,
        classes=3,
        generator=torch.Generator().manual_seed(recipe.seed),
        ratio=recipe.ratio,
        smoothing=recipe.smoothing,
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    parameters = list(learner.head.parameters()) if frozen else list(learner.parameters())
    speed = [torch.zeros_like(p) for p in parameters]
    loader = Loader(trial.store, rows, batch_size=min(recipe.batch, len(rows)), preset=trial.preset)
    for epoch in range(recipe.epochs):
        lr = recipe.lr * min(1, (epoch + 1) / max(recipe.warmup, 1)) / 10 ** sum(epoch >= d for d in recipe.drops)
        for batch in loader.epoch(generator):
            learner.train(not frozen)
            view = learner.config.views.view(batch.joints, batch.lengths, trial.store.topology, generator)
            logits = learner.head(learner.encoder(stream(learner.config.stream, view, trial.store.topology)))
            loss = F.cross_entropy(logits, batch.labels, label_smoothing=recipe.smoothing)
            slopes = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, v, g in zip(parameters, speed, slopes, strict=True):
                    v.mul_(recipe.momentum).add_(g + recipe.weight_decay * p)
                    p.sub_(lr * v)
    learner.eval()
    test = np.sort(trial.split.test)
    batch = trial.store.batch(test)
    return learner.logits(batch)


@pytest.mark.parametrize("protocol", [FineTune, ViewsLinear])
def test_equals_sgd_by_hand(protocol, trial):
    own = protocol(
        lr=0.3, epochs=4, batch=5, drops=(2,), warmup=2, select="last", smoothing=0.1, weight_decay=0.01, ratio=(0.6, 0.9), seed=3
    )
    score = own.run(trial)
    wanted = by_hand(trial, trial.split.train_all, own, frozen=protocol is ViewsLinear)
    torch.testing.assert_close(score.logits, wanted, rtol=1e-4, atol=1e-5)
    assert score.predictions.tolist() == wanted.argmax(1).tolist() and score.held_out is None
    assert score.ids == tuple(trial.store.ids[r] for r in sorted(trial.split.test))
    assert score.chosen == {"epoch": 4, "by": "the last epoch"}


@pytest.mark.parametrize("protocol", [FineTune, ViewsLinear])
def test_the_epoch_is_chosen_on_held_out_training_subjects(protocol, trial):
    split = trial.split
    how = {"lr": 0.5, "batch": 4, "drops": ()}

    def after(epochs, rows):
        """Trained on the training part alone, for so many epochs, and tested on ``rows``."""
        alone = replace(trial, split=replace(split, validation=EMPTY, test=rows))
        return protocol(epochs=epochs, **how).run(alone)

    looks = [2, 4, 6, 7]
    accuracy = [after(e, split.validation).accuracy for e in looks]
    best = looks[int(np.argmax(accuracy))]
    score = protocol(epochs=7, look_every=2, **how).run(trial)
    assert score.chosen == {"epoch": best, "by": "validation subjects", "validation accuracy": max(accuracy)}
    torch.testing.assert_close(score.logits, after(best, split.test).logits, rtol=0, atol=0)
    assert score.held_out.rows.tolist() == sorted(split.validation.tolist()) and score.held_out.accuracy == max(accuracy)
    assert "nobody to hold out" in after(1, split.test).chosen["by"]


def test_the_method_stays_as_it_is_and_unlabelled_clips_take_no_part(trial, tmp_path):
    before = {k: v.clone() for k, v in trial.method.state_dict().items()}
    store = trial.store
    labels = store.index["label"].copy()
    try:
        store.index["label"][[trial.split.train[0], trial.split.test[0], trial.split.validation[0]]] = -1
        score = FineTune(epochs=1).run(trial)
        assert score.n == len(trial.split.test) - 1 and score.held_out.n == len(trial.split.validation) - 1
        store.index["label"][trial.split.test] = -1
        with pytest.raises(DataError, match="labelled training clips and 0 test clips"):
            FineTune(epochs=1).run(trial)
    finally:
        store.index["label"][:] = labels
    assert all(torch.equal(trial.method.state_dict()[k], v) for k, v in before.items())
    assert not any(p.requires_grad for p in trial.method.parameters())  # a floor is frozen, its copy was not


def test_floors_are_the_network_from_scratch_and_a_layer_on_the_joints(store, split):
    halp = {"prototypes": 4, "prototypes_from": 8, "queue": 16, "dim": 8}
    config = HaLP.Config(encoder=GRU.Config(hidden=4, layers=1), views=Views(frames=8, minimum=8), **halp)
    shape = {"topology": store.topology, "bodies": 2, "coordinates": 3, "classes": 3}
    method = HaLP.build(config, **shape, generator=torch.Generator().manual_seed(1))
    protocols = [FineTune(epochs=2), OwnClassifier()]
    rows = evaluate(method, store, split, protocols=protocols, seed=0, preset="none")
    rows += floors(store, split, beside=config, protocols=protocols, preset="none")
    lines = Table(rows).lines()
    assert [(x.protocol, x.method) for x in lines] == [
        (p, m) for p in ("fine-tune", "classifier") for m in ("random", "raw", "halp")
    ]
    assert rows[0].differs == {"fine-tune: selection": ("best look at test", FineTune().selection)}


def test_own_classifier_asks_the_method_and_else_fits_a_layer(trial, store):
    learner = Supervised.build(
        Supervised.Config(encoder=GRU.Config(hidden=4, layers=1), views=Views(frames=8, minimum=8)),
        topology=store.topology,
        bodies=2,
        coordinates=3,
        classes=3,
        generator=torch.Generator().manual_seed(0),
    )
    score = OwnClassifier().run(replace(trial, method=learner))
    torch.testing.assert_close(score.logits, learner.logits(store.batch(np.sort(trial.split.test))))
    linear = Linear().run(trial.parts.train, trial.parts.test, validation=trial.parts.validation)
    stand_in = OwnClassifier().run(trial)
    assert stand_in.protocol == "classifier" and stand_in.predictions.tolist() == linear.predictions.tolist()
    assert stand_in.chosen["in place of a classifier"] == "linear"


def test_recipes_say_what_they_do():
    told = str(FineTune().describe())
    assert "\n" not in told and "SGD 0.01" in told and "80 epochs, /10 at 50, 70" in told and "never on test" in told
    own = FineTune.strl(epochs=3)
    assert (own.lr, own.batch, own.epochs, own.drops, own.warmup, own.smoothing) == (0.1, 128, 3, (90, 100), 5, 0.1)
    assert own.name == "fine-tune (STRL)" and "5 of them warming up" in own.words
    assert "frozen: the whole network" in str(ViewsLinear().describe()) and ViewsLinear().lr == 0.005
    assert "selection: none: the last epoch" in str(FineTune(select="last").describe())
    assert "on training clips, crops" in told and "those of the validation subjects" in str(FineTune(select="last").describe())


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        ({"lr": 0}, "lr=0 must be above 0"),
        ({"momentum": 1}, "momentum=1"),
        ({"weight_decay": -1}, "weight_decay=-1"),
        ({"epochs": 0}, "at least 1"),
        ({"warmup": -1}, "warmup=-1"),
        ({"select": "test"}, "select='test' is neither"),
    ],
)
def test_settings_are_checked(edits, says):
    with pytest.raises(ConfigError, match=says):
        Recipe(**edits)


def test_a_loss_that_diverges_is_an_error(trial):
    trial = replace(trial, method=Raw(Raw.Config(frames=4), topology=trial.store.topology, bodies=2, coordinates=3))
    with pytest.raises(RunError, match=r"the loss is .* in epoch|not finite"):
        FineTune(lr=3e38, epochs=5).run(trial)


def test_frozen_evaluation_of_a_skeletonmae_is_refused(store, split):
    from skelbench.methods.skeletonmae import SkeletonMAE
    from skelbench.nets.gin import GIN

    config = SkeletonMAE.Config(encoder=GIN.Config(width=8, layers=1), frames=4)
    shape = {"topology": store.topology, "bodies": 2, "coordinates": 3, "classes": 3}
    method = SkeletonMAE.build(config, **shape, generator=torch.Generator().manual_seed(0))
    trial = Trial(method=method, store=store, split=split, preset="none")
    with pytest.raises(ConfigError, match=r"FineTune\.strl"):
        ViewsLinear(epochs=1).run(trial)
    assert FineTune.strl(epochs=1, batch=8).run(trial).n == len(split.test)
