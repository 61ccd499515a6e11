// Time for players: one clock that any number of views share, and a brake on messages. Stands before player.js in one module.

/** The time base that linked players share, in seconds. Each view adds itself with its own duration; the longest counts. */
export class Clock {
  constructor() {
    Object.assign(this, { time: 0, playing: false, speed: 1, last: 0, views: new Map() });
  }
  get duration() {
    return Math.max(1e-3, ...this.views.values());
  }
  /** Moves on to the animation timestamp `now` (ms); a second view calling with the same timestamp changes nothing. */
  advance(now) {
    const step = now - this.last;
    this.last = now;
    if (this.playing && step > 0 && step < 250) this.time = (this.time + (step / 1000) * this.speed) % this.duration; // 250: was hidden
  }
  set(change) {
    Object.assign(this, change);
    for (const hear of this.views.keys()) hear();
  }
}

/** Runs `act` at once or at the end of the current pause of 1000 / hertz ms; the latest call wins, the last is never lost. */
export function paced(act, hertz) {
  let timer = 0;
  let free = 0;
  const run = () => {
    timer = 0;
    free = performance.now() + 1000 / hertz;
    act();
  };
  const call = () => {
    if (!timer) timer = setTimeout(run, Math.max(0, free - performance.now()));
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}

/** Clocks of the page by name: linked players, and two views of one player, run on one. */
function clockOf(name) {
  const clocks = (globalThis[Symbol.for("skelbench.clocks")] ??= new Map());
  if (!clocks.has(name)) clocks.set(name, new Clock());
  return clocks.get(name);
}

function dropClock(name, hear) {
  const clocks = globalThis[Symbol.for("skelbench.clocks")];
  clocks.get(name)?.views.delete(hear);
  if (clocks.get(name)?.views.size === 0) clocks.delete(name);
}
