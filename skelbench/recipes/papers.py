"""The recipes, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from skelbench.errors import ConfigError
from skelbench.recipes import paper_brl, paper_deform3d, paper_halp, paper_isc, paper_mmixer, paper_psumnet, paper_skeletonmae
from skelbench.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    make.__name__: make
    for make in (
        paper_deform3d.deform3d_ntu60_xsub,
        paper_deform3d.deform3d_ntu120_xsub,
        paper_mmixer.mmixer_ntu60_xsub,
        paper_mmixer.mmixer_ntu120_xsub,
        paper_halp.halp_ntu60_xsub,
        paper_halp.halp_ntu60_xview,
        paper_halp.halp_ntu120_xsub,
        paper_halp.halp_ntu120_xset,
        paper_halp.halp_pku2_xsub,
        paper_isc.isc_ntu60_xsub,
        paper_isc.isc_ntu60_xview,
        paper_isc.isc_ntu120_xsub,
        paper_isc.isc_ntu120_xset,
        paper_isc.isc_pku1_xsub,
        paper_isc.isc_pku2_xsub,
        paper_skeletonmae.skeletonmae_ntu60_xsub,
        paper_skeletonmae.skeletonmae_ntu60_xview,
        paper_skeletonmae.skeletonmae_ntu120_xsub,
        paper_skeletonmae.skeletonmae_ntu120_xset,
        paper_skeletonmae.skeletonmae_gym99,
        paper_psumnet.psumnet_ntu60_xsub,
        paper_psumnet.psumnet_ntu120_xsub,
        paper_psumnet.psumnet_ntu60x_xsub,
        paper_psumnet.psumnet_ntu120x_xsub,
        paper_psumnet.psumnet_shrec14,
        paper_psumnet.psumnet_shrec28,
        paper_brl.brl_ntu60_xsub_lt100,
        paper_brl.brl_ntu60_xview_lt100,
        paper_brl.brl_ntu120_xsub_lt100,
        paper_brl.brl_ntu120_xset_lt100,
    )
}


def recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        ConfigError: no such recipe; the message names the nearest ones.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ConfigError(f"no recipe called {name!r}{hint} There are: {', '.join(RECIPES)}")
    return RECIPES[name]()
