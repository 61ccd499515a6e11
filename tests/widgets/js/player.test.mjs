import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture, load, PLAYER, source } from "./modules.mjs";

const player = await load(...PLAYER);
const given = fixture();
const close = (a, b, tolerance = 1e-6) => assert.ok(Math.abs(a - b) <= tolerance, `${a} is not ${b}`);

test("every half-precision number reads as numpy reads it", () => {
  const expected = new Float32Array(player.asBytes(given.halves).buffer);
  for (let bits = 0; bits < 65536; bits++) assert.ok(Object.is(player.halfToFloat(bits), expected[bits]) || player.halfToFloat(bits) === expected[bits], String(bits));
});

test("a scene decodes to the positions Python packed, absent bodies to NaN", () => {
  const [clip, second] = player.decode(given.scene);
  const expected = new Float32Array(player.asBytes(given.joints).buffer);
  assert.equal(clip.joints.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    if (Number.isNaN(expected[i])) assert.ok(Number.isNaN(clip.joints[i]));
    else close(clip.joints[i], expected[i], clip.scale / 1024);
  }
  assert.deepEqual([...clip.heat.slice(0, 3)], given.heat);
  assert.equal(second.heat, null);
});

test("bytes come out of base64 text, buffers and views alike", () => {
  const bytes = new Uint8Array([9, 1, 2, 255]);
  for (const form of ["CQEC/w==", bytes, bytes.buffer, new DataView(bytes.buffer)]) assert.deepEqual([...player.asBytes(form)], [9, 1, 2, 255]);
  assert.deepEqual([...player.asBytes(new DataView(bytes.buffer, 1, 2))], [1, 2]);
  assert.equal(player.asBytes(undefined).length, 0);
});

test("cells tile the picture and use its shape", () => {
  assert.deepEqual(player.grid(1, 400, 300), { columns: 1, rows: 1 });
  assert.deepEqual(player.grid(8, 1200, 200), { columns: 8, rows: 1 });
  assert.deepEqual(player.grid(2, 200, 600), { columns: 1, rows: 2 });
  for (let n = 1; n <= 24; n++) {
    const { columns, rows } = player.grid(n, 900, 500);
    assert.ok(columns * rows >= n && (columns - 1) * rows < n + rows, String(n));
  }
});

test("projection: the middle stays, nearer is larger, up is up, a turn by half swaps left and right", () => {
  const view = { yaw: 0, pitch: 0, cx: 100, cy: 50, eye: 4, focal: 400 };
  const [x, y, z, scale] = player.project([0, 0, 0], new Float32Array(4), view);
  assert.deepEqual([x, y, z, scale], [100, 50, 0, 100]);
  const out = player.project([1, 1, 0, 0, 0, 2, 0, 0, -2], new Float32Array(12), view);
  assert.ok(out[0] > 100 && out[1] < 50);
  assert.ok(out[7] > scale && out[11] < scale);
  const turned = player.project([1, 0, 0], new Float32Array(4), { ...view, yaw: Math.PI });
  close(turned[0], 0, 1e-3);
  const above = player.project([0, 0, 1], new Float32Array(4), { ...view, pitch: 0.5 });
  assert.ok(above[1] > 50, "what is nearer lies lower when seen from above");
});

test("projection agrees with rotation matrices written out", () => {
  const view = { yaw: 0.7, pitch: -0.3, cx: 0, cy: 0, eye: 5, focal: 300 };
  const [px, py, pz] = [0.4, -0.9, 0.2];
  const turn = [[Math.cos(0.7), 0, Math.sin(0.7)], [0, 1, 0], [-Math.sin(0.7), 0, Math.cos(0.7)]];
  const tilt = [[1, 0, 0], [0, Math.cos(-0.3), -Math.sin(-0.3)], [0, Math.sin(-0.3), Math.cos(-0.3)]];
  const times = (m, v) => m.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);
  const [x, y, z] = times(tilt, times(turn, [px, py, pz]));
  const out = player.project([px, py, pz], new Float32Array(4), view);
  close(out[0], (x * 300) / (5 - z), 1e-3);
  close(out[1], (-y * 300) / (5 - z), 1e-3);
});

test("the whole movement stays inside its cell from the first view on, all around", () => {
  for (const half of [[0.5, 0.9], [3, 0.9], [0.2, 0.2]]) {
    const fit = player.framing({ half }, 300, 200, 1);
    for (let yaw = 0; yaw < 6.3; yaw += 0.3) {
      const corners = [];
      for (let a = 0; a < 6.3; a += 0.5) for (const y of [-half[1], half[1]]) corners.push(half[0] * Math.cos(a), y, half[0] * Math.sin(a));
      const out = player.project(corners, new Float32Array((corners.length / 3) * 4), { yaw, pitch: 0.16, cx: 150, cy: 100, ...fit });
      for (let i = 0; i < out.length; i += 4) assert.ok(out[i] > -15 && out[i] < 315 && out[i + 1] > -15 && out[i + 1] < 215, `${half} ${out[i]} ${out[i + 1]}`);
    }
  }
});

const walk = { frames: 3, bodies: 1, V: 2, fps: 10, joints: new Float32Array([0, 0, 0, 1, 1, 1, 2, 0, 0, 3, 1, 1, NaN, NaN, NaN, NaN, NaN, NaN]) };

test("between frames a pose is linear, on frames exact, and the last one is held", () => {
  const out = new Float32Array(6);
  assert.equal(player.poseAt(walk, 0, out), false);
  assert.deepEqual([...out], [0, 0, 0, 1, 1, 1]);
  player.poseAt(walk, 0.05, out);
  close(out[0], 1, 1e-4);
  player.poseAt(walk, 0.15, out);
  close(out[0], 2, 1e-6); // the next frame holds no body: nothing is made up between
  assert.equal(player.poseAt(walk, 9, out), true);
  assert.ok(Number.isNaN(out[0]));
});

test("bones are drawn from far to near, absent ones not at all", () => {
  const clip = { V: 4, edges: [[1, 0], [2, 0], [3, 0]] };
  const screen = new Float32Array([0, 0, 0, 1, 0, 0, 5, 1, 0, 0, -5, 1, NaN, NaN, NaN, NaN]);
  assert.deepEqual(player.painterOrder(clip, 0, screen), [1, 0]);
});

test("colours mix and the ramp runs from its first to its last stop", () => {
  assert.equal(player.mix("#000000", "#ffffff", 0.5), "#808080");
  assert.equal(player.ramp(["#000000", "#808080", "#ffffff"], 0), "#000000");
  assert.equal(player.ramp(["#000000", "#808080", "#ffffff"], 7), "#ffffff");
  assert.equal(player.ramp(["#000000", "#808080", "#ffffff"], NaN), "#000000");
});

test("a clock moves once per timestamp, loops over the longest view, and does not jump after a pause of the page", () => {
  const clock = new player.Clock();
  let heard = 0;
  clock.views.set(() => heard++, 1);
  clock.views.set(() => heard++, 2);
  assert.equal(clock.duration, 2);
  clock.set({ playing: true, speed: 0.5 });
  assert.equal(heard, 2);
  clock.advance(1000);
  clock.advance(1100);
  clock.advance(1100);
  close(clock.time, 0.05);
  clock.advance(99_000);
  close(clock.time, 0.05);
  clock.set({ time: 1.99, speed: 1 });
  clock.advance(99_100);
  close(clock.time, 0.09);
});

test("paced: the latest of many calls runs, the last one is never lost", async () => {
  let value = 0;
  const seen = [];
  const act = player.paced(() => seen.push(value), 50);
  for (value = 1; value <= 40; value++) act();
  value = 40;
  await new Promise((done) => setTimeout(done, 80));
  value = 41;
  act();
  act.cancel();
  await new Promise((done) => setTimeout(done, 40));
  assert.equal(seen.at(-1), 40);
  assert.ok(seen.length < 10);
});

test("the nearest joint of a pose is found within reach, and an absent body never", () => {
  const screen = new Float32Array([10, 10, 0, 1, 14, 10, 5, 1, NaN, NaN, NaN, NaN]);
  assert.equal(player.nearestJoint(screen, 11, 10, 9), 0);
  assert.equal(player.nearestJoint(screen, 13, 10, 9), 1);
  assert.equal(player.nearestJoint(screen, 40, 40, 9), -1);
});

test("some bodies of a clip make a clip of their own", () => {
  const joints = Float32Array.from({ length: 2 * 3 * 2 * 3 }, (_, i) => i); // 2 frames, 3 bodies, 2 joints
  const clip = { frames: 2, bodies: 3, V: 2, fps: 30, joints, heat: 1, colour: 1 };
  const last = player.bodiesOf(clip, 1, 3);
  assert.deepEqual([last.bodies, last.heat, last.colour], [2, null, null]);
  assert.deepEqual([...last.joints], [...joints.slice(6, 18), ...joints.slice(24, 36)]);
  assert.deepEqual([...player.bodiesOf(clip, 0, 1).joints], [...joints.slice(0, 6), ...joints.slice(18, 24)]);
});

test("the files can be pasted into a script of a page", () => {
  for (const names of [PLAYER, ["positive_lab.js"], ["embedding_map.js"]]) {
    const text = source(...names);
    assert.ok(!/<\/script/i.test(text), names);
    assert.ok(!/innerHTML|insertAdjacentHTML|document\.write|\beval\(/.test(text), names);
    assert.ok(!/https?:\/\/(?!www\.w3\.org\/2000\/svg)/.test(text), names);
    assert.ok(!/^import /m.test(text), names);
    assert.equal(text.match(/^export default /gm).length, 1, names);
  }
});
