"""M-Mixer's fusion: every equation against a loop, sizes of the fact sheet, and the two planted problems that need mixing."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from skelbench.errors import ConfigError
from skelbench.nets.mmixer import CFEM, MCU, MeanContent, Mixer


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def rough(module, seed=9):
    """In float64, with every parameter away from where it began."""
    module.double()
    g = generator(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return module


def mixer(modalities=3, inputs=6, classes=4, heads=False, seed=0, **edits):
    config = Mixer.Config(**{"width": 8, "heads": 2, "dropout": 0.0, "positions": 12, **edits})
    return Mixer(config, inputs=inputs, modalities=modalities, classes=classes, heads=heads, generator=generator(seed))


def layer_norm(x, norm):
    """One vector, by hand."""
    mean = sum(x) / len(x)
    spread = sum((v - mean) ** 2 for v in x) / len(x)
    return (x - mean) / (spread + norm.eps) ** 0.5 * norm.weight + norm.bias


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def naive_unit(unit, x, g, mask):
    """The equations of the unit for one clip, step by step."""
    h, out, gates = torch.zeros(x.shape[1], dtype=x.dtype), [], []
    for t in range(len(x)):
        gt = g[t] if g.ndim == 2 else g
        if unit.mix == "off":
            m, a = layer_norm(unit.mx.weight @ x[t], unit.norm_mx), torch.zeros_like(h)
        elif unit.mix == "concat":
            m, a = layer_norm(unit.mx.weight @ torch.cat([x[t], gt]), unit.norm_mx), torch.ones_like(h)
        else:
            a = torch.ones_like(h)
            if unit.mix == "gate":
                a = sigmoid(layer_norm(unit.ax.weight @ x[t] + unit.ag.weight @ gt, unit.norm_a))
            m = layer_norm(unit.mx.weight @ x[t], unit.norm_mx) + a * layer_norm(unit.mg.weight @ gt, unit.norm_mg)
        r = sigmoid(layer_norm(unit.wr.weight @ m + unit.ur.weight @ h, unit.norm_r))
        z = sigmoid(layer_norm(unit.wz.weight @ m + unit.uz.weight @ h, unit.norm_z))
        c = torch.tanh(layer_norm(unit.wc.weight @ m + unit.uc.weight @ (r * h), unit.norm_c))
        if mask[t]:
            h = (1 - z) * h + z * c
        out.append(h)
        gates.append(a)
    return torch.stack(out), torch.stack(gates)


@pytest.mark.parametrize("mix", ["gate", "add", "concat", "off"])
@pytest.mark.parametrize("per_step", [False, True])
def test_unit_is_its_equations(mix, per_step):
    unit = rough(MCU(5, mix=mix))
    x, g = normal(3, 6, 5), normal(3, 6, 5, seed=1) if per_step else normal(3, 5, seed=1)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [False, True, True, False, True, True]])
    found = unit(x, g, mask)
    for n in range(3):
        states, gates = naive_unit(unit, x[n], g[n], mask[n])
        torch.testing.assert_close(found.states[n], states, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.mix[n], gates, rtol=0, atol=1e-12)


def test_without_mixing_it_is_a_layer_normalised_gru():
    unit = rough(MCU(5, mix="off"))
    x, h = normal(2, 7, 5), torch.zeros(2, 5, dtype=torch.float64)
    found = unit(x, None)
    for t in range(7):
        m = unit.norm_mx(unit.mx(x[:, t]))
        r = torch.sigmoid(unit.norm_r(unit.wr(m) + unit.ur(h)))
        z = torch.sigmoid(unit.norm_z(unit.wz(m) + unit.uz(h)))
        h = (1 - z) * h + z * torch.tanh(unit.norm_c(unit.wc(m) + unit.uc(r * h)))
        torch.testing.assert_close(found.states[:, t], h, rtol=0, atol=1e-12)
    other = unit(x, normal(2, 5, seed=3))
    assert torch.equal(other.states, found.states) and not other.mix.any()  # content does not reach it


def naive_cfem(module, x, mask, target):
    """Content and weights (heads, S, T) of one target of one clip, query by query and head by head."""
    c, (S, T, D) = module.config, x.shape
    block, d = module.blocks[0 if c.share else target], x.shape[2] // c.heads
    seen = [
        (j, t)
        for j in range(S)
        for t in range(T)
        if mask[j, t] and ((j == target) if c.content == "own" else (c.include_own or j != target))
    ]
    bank = {(j, t): x[j, t] + module.modality[j] + module.position[t] for j, t in seen}

    def ask(query):
        weights, out = torch.zeros(c.heads, S, T, dtype=x.dtype), torch.zeros(D, dtype=x.dtype)
        if seen:
            parts = []
            for r in range(c.heads):
                rows = slice(r * d, (r + 1) * d)
                q = block.q(query)[rows]
                e = {at: torch.exp((q @ block.k(b)[rows]) / math.sqrt(d)) for at, b in bank.items()}
                for at in seen:
                    weights[r][at] = e[at] / sum(e.values())
                parts.append(sum(weights[r][at] * block.v(bank[at])[rows] for at in seen))
            out = block.p(torch.cat(parts))
        u = layer_norm(query + out, block.norm_u)
        return layer_norm(u + block.ffn(u), block.norm_v), weights

    steps = range(T) if c.per_step else (None,)
    contents, all_weights = [], []
    for t in steps:
        answers = [ask(q + x[target, t] if t is not None else q) for q in module.queries[target]]
        contents.append(sum(a for a, _ in answers) / len(answers))
        all_weights += [w for _, w in answers]
    return (torch.stack(contents) if c.per_step else contents[0]), sum(all_weights) / len(all_weights)


@pytest.mark.parametrize(
    "edits",
    [{}, {"queries": 3}, {"share": False}, {"include_own": True}, {"content": "own"}, {"per_step": True, "queries": 2}],
    ids=lambda e: "-".join(e) or "plain",
)
def test_cfem_is_its_equations(edits):
    config = Mixer.Config(**{"width": 8, "heads": 2, "positions": 9, **edits})
    module = rough(CFEM(config, 3))
    x, mask = normal(3, 3, 5, 8), torch.ones(3, 3, 5, dtype=torch.bool)
    mask[1, 0, 3:] = False
    mask[2, 1:] = False  # one modality alone: nothing to ask it for
    contents, weights = module(x, mask)
    for n in range(3):
        for i in range(3):
            content, seen = naive_cfem(module, x[n], mask[n], i)
            torch.testing.assert_close(contents[n, i], content, rtol=0, atol=1e-11)
            torch.testing.assert_close(weights[n, i], seen, rtol=0, atol=1e-11)
    if config.content == "cfem" and not config.include_own:
        assert not weights[:, range(3), :, range(3)].any()  # no target sees itself


def test_mean_content_is_its_equation():
    module = rough(MeanContent(4, 3))
    x, mask = normal(2, 3, 5, 4), torch.ones(2, 3, 5, dtype=torch.bool)
    mask[0, 1, 2:], mask[1, 2] = False, False
    found = module(x, mask)
    for n in range(2):
        for i in range(3):
            means = []
            for j in range(3):
                if j != i:
                    steps = [x[n, j, t] for t in range(5) if mask[n, j, t]]
                    means.append(sum(steps) / len(steps) if steps else torch.zeros(4, dtype=x.dtype))
            wanted = layer_norm(module.linears[i](torch.cat(means)), module.norms[i])
            torch.testing.assert_close(found[n, i], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_classifier_reads_the_states_side_by_side(readout):
    made = rough(mixer(readout=readout, heads=True))
    x, mask = normal(2, 3, 5, 6), torch.ones(2, 3, 5, dtype=torch.bool)
    mask[0, 1, 3:] = False
    found = made(x, mask)
    embedded = torch.stack([made.norms[i](made.embed[i](x[:, i])) for i in range(3)], dim=1)
    content, _ = made.content(embedded, mask)
    read = []
    for i in range(3):
        states = made.units[i](embedded[:, i], content[:, i], mask[:, i]).states
        mean = torch.stack([states[n, mask[n, i]].mean(dim=0) for n in range(2)])
        read.append(states[:, -1] if readout == "last" else mean)
        torch.testing.assert_close(found.each[:, i], made.heads[i](read[i]))
    torch.testing.assert_close(found.features, torch.cat(read, dim=1))
    torch.testing.assert_close(found.logits, made.head(torch.cat(read, dim=1)))
    assert not found.gates[0, 3:, 1].any() and (found.gates[0, :3] > 0).all()


# Table 4.6 of the fact sheet: 512 features in, 60 classes.
@pytest.mark.parametrize(
    ("width", "modalities", "unit", "shared", "apart", "mean"),
    [
        (512, 2, 2_627_584, 9_031_228, 12_183_612, 6_371_388),
        (512, 3, 2_627_584, 11_954_236, 18_259_004, 10_343_484),
        (256, 3, 658_432, 3_224_636, 4_804_156, 2_812_476),
        (128, 3, 165_376, 924_220, 1_320_764, 816_444),
    ],
)
def test_sizes_are_those_of_the_sheet(width, modalities, unit, shared, apart, mean):
    def size(module):
        return sum(p.numel() for p in module.parameters())

    shape = {"modalities": modalities, "inputs": 512, "classes": 60, "positions": 64, "width": width}
    assert size(MCU(width)) == unit
    assert size(mixer(**shape)) == shared
    assert size(mixer(**shape, share=False)) == apart
    assert size(mixer(**shape, content="mean")) == mean


@pytest.mark.parametrize("edits", [{}, {"content": "mean"}, {"share": False}, {"mix": "off"}], ids=str)
def test_the_order_of_the_modalities_does_not_matter(edits):
    one = rough(mixer(heads=True, **edits))
    other = mixer(heads=True, **edits).double()
    order, D = [2, 0, 1], 8
    state = {}
    for name, value in one.state_dict().items():
        pieces = name.split(".")
        at = next((i for i, p in enumerate(pieces) if p.isdigit()), None)
        if name in ("content.queries", "content.modality"):
            value = value[order]
        elif name == "head.weight":
            value = torch.cat([value[:, i * D : (i + 1) * D] for i in order], dim=1)
        elif at is not None and not (pieces[1] == "blocks" and one.config.share):
            old = order[int(pieces[at])]
            value = one.state_dict()[".".join([*pieces[:at], str(old), *pieces[at + 1 :]])]
            if name.startswith("content.linears") and name.endswith("weight"):  # its inputs are the others, in order
                before = [j for j in range(3) if j != old]
                now = [order[j] for j in range(3) if order[j] != old]
                value = torch.cat([value[:, before.index(j) * D : (before.index(j) + 1) * D] for j in now], dim=1)
        state[name] = value
    other.load_state_dict(state)
    x = normal(2, 3, 5, 6)
    torch.testing.assert_close(one(x).logits, other(x[:, order]).logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(one(x).each[:, order], other(x[:, order]).each, rtol=0, atol=1e-10)


@pytest.mark.parametrize("edits", [{}, {"content": "mean"}, {"readout": "mean"}, {"per_step": True}, {"mix": "off"}], ids=str)
def test_padding_changes_nothing(edits):
    made = rough(mixer(heads=True, **edits))
    x = normal(2, 3, 5, 6)
    longer = torch.cat([x, 100 * normal(2, 3, 4, 6, seed=1)], dim=2)
    mask = torch.zeros(2, 3, 9, dtype=torch.bool)
    mask[:, :, :5] = True
    if made.config.per_step:  # the padding asks too, and is not listened to
        torch.testing.assert_close(made(longer, mask).attention.shape, torch.Size([2, 3, 3, 9]))
    torch.testing.assert_close(made(longer, mask).logits, made(x).logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(made(longer, mask).gates[:, :5], made(x).gates, rtol=0, atol=1e-10)


def test_a_modality_that_is_not_there_tells_nothing():
    for edits in ({}, {"content": "mean"}, {"per_step": True}):
        made, x, mask = rough(mixer(heads=True, **edits)), normal(2, 3, 5, 6), torch.ones(2, 3, 5, dtype=torch.bool)
        mask[0, 1] = False
        changed = x.clone()
        changed[0, 1] = 7 * normal(5, 6, seed=5)
        one, other = made(x, mask), made(changed, mask)
        torch.testing.assert_close(one.logits, other.logits, rtol=0, atol=0)
        assert not one.features[0, 8:16].any() and torch.isfinite(one.logits).all()
        assert (one.logits[0] - made(x).logits[0]).abs().max() > 1e-3
        torch.testing.assert_close(one.logits[1], made(x).logits[1])


def test_gradients_reach_every_query_and_the_mixing():
    made = mixer(heads=True)
    found = made(torch.randn(4, 3, 5, 6, generator=generator()))
    cross_entropy(found.logits, torch.arange(4)).backward()
    assert (made.content.queries.grad.abs().sum(dim=(1, 2)) > 0).all()
    for unit in made.units:
        assert unit.mg.weight.grad.abs().sum() > 0 and unit.ag.weight.grad.abs().sum() > 0
    alone = {n for n, p in made.named_parameters() if p.grad is None}
    assert alone == {f"heads.{i}.{kind}" for i in range(3) for kind in ("weight", "bias")}


def test_two_and_three_modalities_run_and_one_is_refused():
    for count in (2, 3):
        assert mixer(count)(torch.randn(4, count, 5, 6, generator=generator())).logits.shape == (4, 4)
    with pytest.raises(ConfigError, match="two or more"):
        mixer(1)
    assert mixer(1, mix="off")(torch.randn(4, 1, 5, 6, generator=generator())).logits.shape == (4, 4)
    with pytest.raises(ConfigError, match="12 steps, these clips have 13"):
        mixer()(torch.zeros(1, 3, 13, 6))


def test_settings_out_of_range():
    for wrong in ({"heads": 3}, {"queries": 0}, {"dropout": 1.0}, {"mix": "none"}, {"content": "mean", "per_step": True}):
        with pytest.raises(ConfigError, match="M-Mixer"):
            Mixer.Config(**wrong)


def xor_clips(n, g, *, T=8, D=16, needle=False):
    """A: a ramp up or down along a direction. B: another bit, constant, or in one marked step among random ones. Label A xor B."""
    directions = torch.linalg.qr(torch.randn(D, 3, generator=generator(77)))[0].T  # ramp, bit, marker
    a, b = torch.randint(0, 2, (2, n), generator=g)
    sign = 2.0 * torch.stack([a, b]) - 1
    ramp = torch.linspace(-1, 1, T)
    one = sign[0, :, None, None] * ramp[:, None] * directions[0]
    bits = sign[1, :, None].expand(n, T)
    at = torch.randint(0, T, (n,), generator=g)
    if needle:
        bits = 2.0 * torch.randint(0, 2, (n, T), generator=g) - 1
        bits[torch.arange(n), at] = sign[1]
    other = bits[..., None] * directions[1]
    if needle:
        other[torch.arange(n), at] += 2 * directions[2]
    x = torch.stack([one, other], dim=1)
    return x + 0.3 * torch.randn(x.shape, generator=g), a ^ b, at


def learn(made, steps, *, needle=False, T=8, seed=1):
    optimiser, g = torch.optim.AdamW(made.parameters(), lr=3e-3), generator(seed)
    for _ in range(steps):
        x, y, _ = xor_clips(64, g, T=T, needle=needle)
        loss = cross_entropy(made(x).logits, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        x, y, _ = xor_clips(2000, generator(1000), T=T, needle=needle)
        return float((made(x).logits.argmax(dim=1) == y).float().mean())


def toy(**edits):
    return mixer(modalities=2, inputs=16, classes=2, width=32, heads=False, positions=24, **edits)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_product_of_two_modalities_needs_mixing():
    assert learn(toy(mix="off"), 150) < 0.7  # a linear head on both states cannot
    assert learn(toy(content="mean"), 150) > 0.97
    assert learn(toy(content="cfem"), 150) > 0.97


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_query_finds_the_step_that_counts():
    made = toy(content="cfem")
    assert learn(toy(content="mean"), 300, T=24, needle=True) < 0.85
    assert learn(made, 300, T=24, needle=True) > 0.98
    with torch.no_grad():
        x, _, at = xor_clips(500, generator(5), T=24, needle=True)
        weights = made(x).attention[:, 0, 1]  # target A looks at B
    assert (weights.argmax(dim=1) == at).float().mean() > 0.95
