// The widgets' modules for node: read as text, so that neither a package.json nor a new node is needed.
import { readFileSync } from "node:fs";

export const load = (name) => {
  const text = readFileSync(new URL(`../../../skelbench/widgets/${name}`, import.meta.url));
  return import(`data:text/javascript;base64,${text.toString("base64")}`);
};
export const fixture = () => JSON.parse(readFileSync(process.env.SKELBENCH_JS_FIXTURE, "utf8"));
