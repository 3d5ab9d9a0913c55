// Charts over time, drawn by uPlot in the colours of the theme and kept up to date while they are seen.
"use strict";

(() => {
  const KINDS = {
    requests: [["Succeeded", "succeeded", "--good"], ["Others", "failed", "--bad"]],
    tokens: [["In", "input_tokens", "--accent"], ["Out", "output_tokens", "--warn"]],
    "lane-slots": [["Limit", "limit", "--rest"], ["In use", "busy", "--accent"]],
    "lane-seconds": [["Slow", "slow", "--warn"], ["Usual", "usual", "--accent"]],
    "lane-waiting": [["Waiting", "pending", "--accent"]],
  };
  const LEAST = {"lane-seconds": 0.01};
  const places = [...document.querySelectorAll("[data-chart]")];
  const charts = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (value) => value == null ? "–" : Intl.NumberFormat("en", {maximumFractionDigits: value < 1 ? 3 : 1, notation: value >= 1e5 ? "compact" : "standard"}).format(value);

  const clock = (at) => {
    const text = new Date(at * 1000).toISOString();
    return text.slice(11, 16) === "00:00" ? text.slice(5, 10) : text.slice(11, 16);
  };

  async function load() {
    const answers = new Map();
    for (const place of places) {
      const from = place.dataset.from;
      if (!answers.has(from)) {
        const answer = await fetch(from, {headers: {accept: "application/json"}});
        if (!answer.ok) return;
        answers.set(from, await answer.json());
      }
      const told = answers.get(from);
      const columns = [told.at, ...KINDS[place.dataset.chart].map(([, name]) => told[name])];
      if (charts.has(place)) charts.get(place).setData(columns);
      else charts.set(place, draw(place, columns, told.minutes));
    }
  }

  function draw(place, columns, minutes) {
    const axis = {stroke: colour("--quiet"), grid: {stroke: colour("--line"), width: 1}, ticks: {stroke: colour("--line"), width: 1}};
    const series = KINDS[place.dataset.chart].map(([label, , name]) => ({
      label, stroke: colour(name), width: 1.5, fill: `${colour(name)}22`, points: {show: false},
      paths: uPlot.paths.stepped({align: 1}), value: (_, value) => number(value),
    }));
    return new uPlot({
      width: place.clientWidth - 16, height: 220, cursor: {points: {size: 6}},
      scales: {y: {range: (_, low, high) => [0, Math.max(LEAST[place.dataset.chart] ?? 1, high * 1.08)]}},
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      axes: [{...axis, values: (_, splits) => splits.map(clock)}, {...axis, size: 58, values: (_, values) => values.map(number)}],
      series: [{label: minutes > 1 ? `From, ${minutes} minutes` : "Minute", value: "{YYYY}-{MM}-{DD} {HH}:{mm}"}, ...series],
    }, columns, place);
  }

  function again() {
    for (const chart of charts.values()) chart.destroy();
    charts.clear();
    load();
  }

  let waits = null;
  new ResizeObserver(() => {
    clearTimeout(waits);
    waits = setTimeout(() => {
      for (const [place, chart] of charts) chart.setSize({width: place.clientWidth - 16, height: 220});
    }, 120);
  }).observe(document.body);
  document.addEventListener("theme", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  document.body.addEventListener("slow", load);
  load();
})();
