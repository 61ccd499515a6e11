import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const lab = await load("positive_lab.js");
const map = await load("embedding_map.js");
const close = (a, b) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

test("on the disc anchor and target stand at equal height left and right of the top, the boundary between them", () => {
  for (const omega of [0.3, 1.2, 2.8]) {
    const [ax, ay] = lab.onDisc(1, 0, omega, 100);
    const [sx, sy] = lab.onDisc(Math.cos(omega), Math.sin(omega), omega, 100);
    close(ax, -sx);
    close(ay, sy);
    assert.ok(ax < 0);
    close(Math.hypot(ax, ay), 100);
    close(lab.onDisc(Math.cos(omega / 2), Math.sin(omega / 2), omega, 100)[1], -100);
  }
});

test("the plane is not bent: distances on the disc are those of the plane", () => {
  const points = [[0.2, -0.4], [0.9, 0.1], [-0.5, 0.5]];
  const places = points.map(([u, v]) => lab.onDisc(u, v, 1.1, 1));
  for (let i = 0; i < 3; i++) close(Math.hypot(places[i][0] - places[(i + 1) % 3][0], places[i][1] - places[(i + 1) % 3][1]),
    Math.hypot(points[i][0] - points[(i + 1) % 3][0], points[i][1] - points[(i + 1) % 3][1]));
});

test("in the fan the distance is the angle and spokes go round clockwise", () => {
  const [x, y] = lab.onFan(0, 8, 0.5, 1, 100);
  close(x, 0);
  close(y, -50);
  const [right] = lab.onFan(2, 8, 0.5, 1, 100);
  close(right, 50);
});

test("a scale maps its ends onto the ends", () => {
  const scale = lab.scale(2, 4, 10, -10);
  assert.deepEqual([scale(2), scale(3), scale(4)], [10, 0, -10]);
  assert.ok(Number.isFinite(lab.scale(1, 1, 0, 5)(1)));
});

test("one request is under way, the newest waits, a lost answer does not stop the slider", async () => {
  const sent = [];
  const wish = new lab.Latest((v) => sent.push(v), 30);
  for (const v of [0.1, 0.2, 0.3]) wish.ask(v);
  assert.deepEqual(sent, [0.1]);
  wish.answered(0.7); // somebody else's
  assert.deepEqual(sent, [0.1]);
  wish.answered(0.1);
  assert.deepEqual(sent, [0.1, 0.3]);
  wish.ask(0.9);
  await new Promise((done) => setTimeout(done, 60));
  assert.deepEqual(sent, [0.1, 0.3, 0.9]);
  wish.stop();
});

test("every marker of the palette has an outline of its own", () => {
  const shapes = ["circle", "square", "diamond", "triangle-up", "cross", "x"].map(map.shapePath);
  assert.equal(new Set(shapes).size, 6);
});

test("a short arc is magnified until anchor and target can be told apart, a long one is left alone", () => {
  assert.equal(lab.discSize(1.4, 90).radius, 90);
  for (const omega of [0.02, 0.15, 0.9]) {
    const { radius, zoom } = lab.discSize(omega, 90);
    const [ax] = lab.onDisc(1, 0, omega, radius);
    assert.ok(ax < -40 && ax > -60, `${omega} ${ax}`);
    assert.ok(Math.abs(zoom * 90 - radius) < 1e-9);
  }
  assert.ok(Number.isFinite(lab.discSize(0, 90).radius));
});
