// The end of vl-convert's bundle: draws a plot under a policy that allows neither eval nor markup.
const DARK = /* DARK */ {};

const tip = document.createElement("div");
tip.className = "modelci-tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");

function words(value) {
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  if (value !== null && typeof value === "object") return JSON.stringify(value);
  return String(value);
}

// What a plot holds is the pull request's: it becomes text, never markup, and never an image.
function lines(value) {
  if (value === null || typeof value !== "object") {
    const line = document.createElement("div");
    line.textContent = words(value);
    return [line];
  }
  return Object.entries(value).slice(0, 20).map(([name, content]) => {
    const line = document.createElement("div");
    const label = document.createElement("b");
    label.textContent = name;
    line.append(label, words(content).slice(0, 200));
    return line;
  });
}

function showTip(handler, event, item, value) {
  if (value === null || value === undefined || value === "") {
    tip.hidden = true;
    return;
  }
  tip.replaceChildren(...lines(value));
  if (!tip.isConnected) document.body.append(tip);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 12, window.innerWidth - box.width - 4);
  const below = event.clientY + 16;
  const top = below + box.height > window.innerHeight ? event.clientY - box.height - 8 : below;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

function darken(value, key) {
  if (key === "values") return value;
  // White words on a dark cell stay white.
  if (key === "background" && value === "white") return "transparent";
  if (typeof value === "string") return DARK[value] ?? value;
  if (Array.isArray(value)) return value.map((item) => darken(item));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, darken(item, name)]));
}

const refuse = () => Promise.reject(new Error("a plot loads nothing"));

window.modelciPlot = async (element, spec, { dark = false } = {}) => {
  element.classList.add("modelci-plot");
  try {
    return await vegaEmbed(element, dark ? darken(spec) : spec, {
      mode: "vega-lite",
      renderer: "svg",
      ast: true,
      actions: false,
      defaultStyle: false,
      hover: false,
      logLevel: 0,  // vega.None: what is wrong with a plot is no business of the console
      tooltip: showTip,
      loader: { load: refuse, sanitize: refuse, http: refuse, file: refuse },
    });
  } catch {
    element.textContent = "This plot cannot be drawn.";
    return null;
  }
};
