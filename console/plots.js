// The four plots. Chart.js (the page loads it before this) draws; colours are the style sheet's, and are read again when
// the theme changes. Time is written as minutes before now.

const LINES = {
  "plot-ops": [
    ["ops", "old", []],
    ["ops", "new", []],
  ],
  "plot-latency": [
    ["p99", "old", []],
    ["p99", "new", []],
    ["p50", "old", [5, 4]],
    ["p50", "new", [5, 4]],
  ],
  "plot-lag": [["lag", null, []]],
  "plot-dirty": [["dirty", null, []]],
};
const SPAN_S = 300;

const tick = {
  "plot-ops": (value) => value.toLocaleString("en-US"),
  "plot-latency": (value) => `${(value / 1000).toLocaleString("en-US")} ms`,
  "plot-lag": (value) => `${value.toLocaleString("en-US")} ms`,
  "plot-dirty": (value) => value.toLocaleString("en-US"),
};

// The style sheet's colour as a canvas takes it: its light or its dark one.
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

export class Plots {
  constructor() {
    this.charts = {};
    if (typeof Chart === "undefined") return;
    for (const [id, lines] of Object.entries(LINES)) {
      this.charts[id] = new Chart(document.getElementById(id), {
        type: "line",
        data: {
          datasets: lines.map(([figure, side, dash]) => ({
            label: [side, figure].filter(Boolean).join(" "),
            data: [],
            borderDash: dash,
          })),
        },
        options: this.options(id),
      });
    }
    this.recolour();
  }

  options(id) {
    return {
      animation: false,
      parsing: false,
      normalized: true,
      responsive: true,
      maintainAspectRatio: false,
      events: [],
      spanGaps: false,
      plugins: { legend: { display: false }, tooltip: { enabled: false } },
      elements: { point: { radius: 0 }, line: { borderWidth: 1.5, tension: 0 } },
      scales: {
        x: {
          type: "linear",
          min: -SPAN_S,
          max: 0,
          ticks: { stepSize: 60, maxRotation: 0, callback: (value) => (value === 0 ? "now" : `${value / 60} min`) },
        },
        y: {
          beginAtZero: true,
          suggestedMax: id === "plot-latency" ? 1000 : 1,
          ticks: { maxTicksLimit: 5, callback: tick[id] },
        },
      },
    };
  }

  recolour() {
    for (const [id, chart] of Object.entries(this.charts)) {
      LINES[id].forEach(([, side], index) => {
        chart.data.datasets[index].borderColor = colour(side ? `--${side}` : "--ink");
      });
      for (const axis of Object.values(chart.options.scales)) {
        axis.grid = { color: colour("--line"), drawBorder: false };
        axis.ticks.color = colour("--quiet");
        axis.ticks.font = { size: 11 };
      }
      chart.update("none");
    }
  }

  draw(points, nowMs) {
    for (const [id, chart] of Object.entries(this.charts)) {
      LINES[id].forEach(([figure, side], index) => {
        chart.data.datasets[index].data = points.map((point) => {
          const value = side ? point[figure][side] : point[figure];
          return { x: (point.at - nowMs) / 1000, y: value ?? NaN };
        });
      });
      chart.update("none");
    }
  }
}
