"use strict";
const charts = JSON.parse(document.getElementById("charts").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const text = { labelColor: of("--soft"), titleColor: of("--ink"), gridColor: of("--line"),
                 domainColor: of("--line"), tickColor: of("--line"), labelFontSize: 12, titleFontSize: 12,
                 titleFontWeight: 500, labelOverlap: "greedy", labelSeparation: 8, tickCount: 6 };
  const colors = dark.matches ? ["#7aa2ff", "#ffb454", "#ff7b86"] : ["#3464d6", "#c9760c", "#c2323f"];
  return { background: "transparent", font: "system-ui, sans-serif", view: { stroke: null }, axis: text,
           legend: { labelColor: of("--ink"), orient: "top", labelFontSize: 12 },
           range: { category: colors }, bar: { color: colors[0] }, line: { color: colors[0] }, point: { color: colors[0] } };
}

async function draw() {
  for (const place of document.querySelectorAll("[data-chart]")) {
    await vegaEmbed(place, charts[place.dataset.chart], { actions: false, renderer: "svg", config: theme() });
  }
  document.documentElement.dataset.drawn = String(dark.matches);
}

dark.addEventListener("change", draw);
draw();
