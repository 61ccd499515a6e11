import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const view = await load("clock.js", "long_tail_view.js");

test("scales are powers of ten around the values", () => {
  assert.deepEqual(view.powers([3, 40]), [1, 100]);
  assert.deepEqual(view.powers([1, 10]), [1, 10]);
  assert.deepEqual(view.powers([0]), [1, 10]);
  const [low, high] = view.powers([0.02, 4, 0]);
  assert.ok(Math.abs(low - 0.01) < 1e-12 && high === 10);
});

test("the slider goes by ratios, and back", () => {
  assert.equal(view.imbalanceAt(0, 600), 1);
  assert.equal(view.imbalanceAt(1, 600), 600);
  for (const p of [0.1, 0.5, 0.83]) assert.ok(Math.abs(view.positionOf(view.imbalanceAt(p, 600), 600) - p) < 2e-3);
  assert.equal(view.positionOf(1, 1), 0);
});

test("neighbours that are alike make one run", () => {
  assert.deepEqual(view.runs(["many", "many", "medium", "few", "few"]), [["many", 0, 2], ["medium", 2, 3], ["few", 3, 5]]);
  assert.deepEqual(view.runs([]), []);
});

test("stairs are flat over every class", () => {
  const same = (v) => v;
  assert.equal(view.stairs([3, 1], same, same), "M0.0 3.0H1.0L1.0 1.0H2.0");
});
