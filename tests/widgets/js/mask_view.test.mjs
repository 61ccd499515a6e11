import assert from "node:assert/strict";
import { test } from "node:test";
import { load, PLAYER, source } from "./modules.mjs";

const FILES = [...PLAYER, "mask_view.js"];
const view = await load(...FILES);

test("a click hides a part, a second one shows it, and half a part is completed first", () => {
  assert.deepEqual(view.toggled([], [3, 1]), [1, 3]);
  assert.deepEqual(view.toggled([1, 3, 9], [3, 1]), [9]);
  assert.deepEqual(view.toggled([3], [3, 10, 2]), [2, 3, 10]);
});

test("a chip says whether none, some or all of its part is hidden", () => {
  assert.equal(view.pressed([], [1, 2]), "false");
  assert.equal(view.pressed([2, 7], [1, 2]), "mixed");
  assert.equal(view.pressed([2, 1, 7], [1, 2]), "true");
});

test("a line breaks where there is no number", () => {
  const same = (v) => v;
  assert.equal(view.broken([1, 2, null, 4], same, same), "M0.0 1.0L1.0 2.0M3.0 4.0");
  assert.equal(view.broken([null], same, same), "");
});

test("the top of an axis is round and not below the data", () => {
  for (const [most, top] of [[0.9, 1], [1, 1], [1.1, 2], [34, 50], [51, 100], [0.031, 0.05], [0.2, 0.2]]) assert.ok(Math.abs(view.ceiling([0, most, null]) - top) < 1e-9, String(most));
  assert.equal(view.ceiling([null, 0]), 1);
  assert.equal(view.ceiling([]), 1);
});

test("the two versions of the bodies stand in one frame of reference, hidden joints pale in the first alone", () => {
  const joints = Float32Array.from({ length: 2 * 4 * 3 * 3 }, (_, i) => i); // 2 frames, 2 + 2 bodies, 3 joints
  const both = { frames: 2, bodies: 4, V: 3, scale: 1, half: [1, 2], joints, heat: new Uint8Array(12), colour: { rows: 2, bodies: 2 }, hidden: [0, 1, 0] };
  const [seen, guess] = view.versions(both, false);
  assert.deepEqual([seen.bodies, guess.bodies, guess.under.bodies], [2, 2, 2]);
  assert.deepEqual([seen.hidden, guess.hidden, guess.under.hidden], [[0, 1, 0], null, null]);
  assert.deepEqual([seen.heat, guess.heat, guess.colour.bodies, guess.half], [null, both.heat, 2, [1, 2]]);
  assert.deepEqual([...seen.joints], [...joints.slice(0, 18), ...joints.slice(36, 54)]);
  assert.deepEqual([...guess.joints], [...joints.slice(18, 36), ...joints.slice(54, 72)]);
  assert.deepEqual([...guess.under.joints], [...seen.joints]);
  assert.equal(view.versions(both, true).length, 1);
});

test("the files can be pasted into a script of a page", () => {
  const text = source(...FILES);
  assert.ok(!/<\/script/i.test(text));
  assert.ok(!/innerHTML|insertAdjacentHTML|document\.write|\beval\(/.test(text));
  assert.ok(!/https?:\/\/(?!www\.w3\.org\/2000\/svg)/.test(text));
  assert.ok(!/^import /m.test(text));
  assert.equal(text.match(/^export default /gm).length, 1);
});
