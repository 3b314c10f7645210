"use strict";
const charts = JSON.parse(document.getElementById("charts").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

// Vega-Lite lies in this file as base64 of gzip, a third of its size.
async function unpack() {
  const bytes = Uint8Array.from(atob(document.getElementById("packed").textContent), (c) => c.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(plain).text();
  document.head.append(script);
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const axis = { labelColor: of("--soft"), titleColor: of("--soft"), gridColor: of("--line"), domainColor: of("--line"),
                 tickColor: of("--line"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400, titlePadding: 8,
                 labelOverlap: "greedy", labelSeparation: 8, labelPadding: 5, tickCount: 6, ticks: false };
  const first = of("--c1");
  return { background: "transparent", font: "system-ui, sans-serif", view: { stroke: null }, axis,
           axisX: { grid: false }, axisY: { domain: false },
           legend: { labelColor: of("--ink"), orient: "top", direction: "horizontal", labelFontSize: 12, offset: 10,
                     symbolType: "circle", symbolSize: 70, symbolStrokeWidth: 2 },
           range: { category: [first, of("--c2"), of("--c3")] }, line: { color: first, strokeWidth: 2 },
           bar: { color: first }, point: { color: first }, area: { color: first }, text: { color: of("--ink"), fontSize: 12 },
           style: { hint: { color: of("--soft"), fontSize: 11 }, hintline: { color: of("--soft") },
                    dip: { color: of("--bad") } } };
}

async function draw() {
  for (const place of document.querySelectorAll("[data-chart]")) {
    await vegaEmbed(place, charts[place.dataset.chart], { actions: false, renderer: "svg", config: theme() });
  }
  document.documentElement.dataset.drawn = String(dark.matches);
}

async function start() {
  if (!("DecompressionStream" in window)) {
    for (const place of document.querySelectorAll("[data-chart]")) {
      place.textContent = "This browser is too old for the charts (it must be of 2023 or later). The figures are in the tables.";
    }
    return;
  }
  await unpack();
  await draw();
  dark.addEventListener("change", draw);
}

start();
