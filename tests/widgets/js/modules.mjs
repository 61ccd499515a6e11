// The widgets' modules for node: read as text, so that neither a package.json nor a new node is needed, and put together as
// skelbench.widgets.modules does it.
import { readFileSync } from "node:fs";

const read = (name) => readFileSync(new URL(`../../../skelbench/widgets/${name}`, import.meta.url), "utf8");
export const PLAYER = ["body.js", "clock.js", "player.js"];
export const source = (...names) => names.map((name, i) => (i + 1 < names.length ? read(name).replace(/^export default .*$/m, "") : read(name))).join("\n");
export const load = (...names) => import(`data:text/javascript;base64,${Buffer.from(source(...names)).toString("base64")}`);
export const fixture = () => JSON.parse(readFileSync(process.env.SKELBENCH_JS_FIXTURE, "utf8"));
