"use strict";
// Draws the run in #data. Texts from the run reach the page only through textContent, so nothing
// in them is ever read as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { run, privacy, rounds, evaluations, nodes, participation, events } = data;
  const hidden = run.hides_cohorts;  // cohorts are secret: nothing that depends on them is there
  const byId = (id) => document.getElementById(id);

  // ---- texts ---------------------------------------------------------------------------------

  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined && text !== null) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const bytesText = (bytes) => {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (bytes >= 999.5 && unit + 1 < units.length) { bytes /= 1000; ++unit; }
    return bytes.toFixed(unit === 0 || bytes >= 99.95 ? 0 : 1) + " " + units[unit];
  };
  const durationText = (seconds) => {
    if (seconds < 9.95) return seconds.toFixed(1) + " s";
    const whole = Math.round(seconds);
    if (whole < 60) return whole + " s";
    const two = (value) => String(value).padStart(2, "0");
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
    return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
  };
  const metricText = (name, value) => {
    if (value === undefined) return "";
    if (value === null) return "not a number";
    return name === "accuracy" ? (100 * value).toFixed(2) + " %" : value.toFixed(4);
  };
  const timeText = (ms) => new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const countText = (count, one, many) => `${count.toLocaleString()} ${count === 1 ? one : many}`;

  // ---- head ----------------------------------------------------------------------------------

  const states = [
    ["A", "accepted", "--accent"], ["F", "failed", "--bad"], ["C", "cut", "--warning"],
    ["U", "unfinished", "--third"], ["S", "surplus", "--quiet"], [" ", "not invited", "--line"],
  ];
  const evaluationOf = new Map(evaluations.map((entry) => [entry.version, entry]));
  const last = evaluations[evaluations.length - 1];
  const headline = ["accuracy", "auc", "f1", "mae"].find((name) => evaluations.some((entry) => name in entry.metrics));
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const sent = hidden ? 0 : sum(rounds.map((round) => round.sent));
  const received = hidden ? 0 : sum(rounds.map((round) => round.received));
  const wall = hidden ? 0 : sum(rounds.map((round) => round.wall_s));
  const short = (value) => (value === null || value === undefined ? "" : String(+value.toPrecision(4)));
  // With privacy every figure says whether epsilon covers it.
  const notPrivate = privacy ? ", not private" : "";

  document.title = `${run.job_name}: Skerry run`;
  byId("title").textContent = run.job_name;
  byId("status").textContent = run.status;
  byId("status").classList.add(run.status);
  const sessions = run.sessions.length;
  byId("subtitle").textContent = [
    `started ${timeText(run.started_unix_ms)}`,
    run.ended_unix_ms === null ? "no end recorded" : `ended ${timeText(run.ended_unix_ms)}`,
    sessions > 1 ? `continued ${sessions === 2 ? "once" : sessions - 1 + " times"}` : "",
    run.status_detail,
  ].filter(Boolean).join(", ");
  byId("guarantee").textContent = run.guarantee;

  const figure = (name, value, note) => {
    const box = element("div");
    box.append(element("dt", name));
    const amount = element("dd", value);
    if (note) amount.append(element("small", note));
    box.append(amount);
    byId("figures").append(box);
  };
  if (headline) figure(headline, metricText(headline, last.metrics[headline]), `${last.examples.toLocaleString()} ${privacy ? "public " : ""}test examples`);
  if (last && "loss" in last.metrics) figure("loss", metricText("loss", last.metrics.loss), `model of round ${last.version}`);
  if (privacy) figure("epsilon", short(privacy.epsilon_spent), `of ${short(privacy.epsilon_max)}, delta ${privacy.delta}`);
  const skipped = rounds.filter((round) => round.skipped).length;
  figure("rounds", String(rounds.length), `of ${run.rounds_planned} planned${skipped ? `, ${skipped} skipped` : ""}`);
  if (hidden) {
    figure("nodes", run.node_count.toLocaleString(), "in secret cohorts");
  } else {
    const invitations = sum(rounds.map((round) => round.invited));
    const accepted = sum(rounds.map((round) => round.counts.A || 0));
    figure("nodes", run.node_count.toLocaleString(), `${accepted.toLocaleString()} of ${countText(invitations, "update", "updates")} in${notPrivate}`);
    figure("traffic", bytesText(sent + received), `↓ ${bytesText(sent)}  ↑ ${bytesText(received)}`);
    figure("time", durationText(wall), rounds.length ? `${durationText(wall / rounds.length)} a round${notPrivate}` : "");
  }

  // ---- charts --------------------------------------------------------------------------------

  const charts = [];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const fewPoints = evaluations.length <= 40;

  const line = (label, points, colour, extra) => ({
    label, data: points, borderColor: css(colour), backgroundColor: css(colour), borderWidth: 2,
    pointRadius: fewPoints ? 3 : 0, pointHoverRadius: 5, tension: 0, clip: 8, ...extra,
  });
  const axes = (options) => {
    const grid = { color: css("--line"), drawBorder: false };
    const ticks = { color: css("--muted"), maxRotation: 0, autoSkipPadding: 14 };
    return {
      responsive: true, maintainAspectRatio: false, animation: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { display: options.legend, position: "bottom", labels: { color: css("--muted"), boxWidth: options.bars ? 12 : 7, boxHeight: options.bars ? 12 : 7, padding: 14, usePointStyle: !options.bars, pointStyle: "circle" } },
        tooltip: { callbacks: { title: (items) => `round ${items[0].label ?? items[0].parsed.x}`, label: (item) => ` ${item.dataset.label}: ${options.value(item.parsed.y)}` } },
      },
      scales: {
        x: { type: options.bars ? "category" : "linear", stacked: options.stacked, grid: { ...grid, display: false }, ticks: { ...ticks, precision: 0 }, ...(options.bars ? {} : { min: options.first, max: Math.max(1, run.status === "running" ? run.rounds_planned : lastRound) }) },
        y: { stacked: options.stacked, beginAtZero: options.bars, grid, ticks: { ...ticks, callback: options.tick, maxTicksLimit: 6 } },
      },
    };
  };
  const lastRound = Math.max(rounds.length ? rounds[rounds.length - 1].round : 0, last ? last.version : 0);
  const firstVersion = evaluations.length ? evaluations[0].version : 1;

  const drawMetric = (canvas, name) => {
    const scale = name === "accuracy" ? 100 : 1;
    const points = evaluations.filter((entry) => name in entry.metrics)
      .map((entry) => ({ x: entry.version, y: entry.metrics[name] === null ? NaN : scale * entry.metrics[name] }));
    const sets = [line("test set", points, "--accent", { fill: { target: "start", above: css("--accent-soft"), below: css("--accent-soft") } })];
    // A round evaluates the model it starts from, which is the version before its own.
    const onNodes = rounds.filter((round) => round.nodes && name in round.nodes && round.nodes[name] !== null)
      .map((round) => ({ x: round.round - 1, y: scale * round.nodes[name] }));
    if (onNodes.length) sets.push(line("nodes' own rows", onNodes, "--second", { borderDash: [5, 4] }));
    const value = name === "accuracy" ? (y) => y.toFixed(2) + " %" : (y) => y.toFixed(4);
    const first = onNodes.length ? Math.min(firstVersion, onNodes[0].x) : firstVersion;
    charts.push(new Chart(byId(canvas), {
      type: "line", data: { datasets: sets },
      options: axes({ legend: sets.length > 1, value, first, tick: name === "accuracy" ? (y) => +y.toFixed(2) + " %" : (y) => +y.toPrecision(3) }),
    }));
  };
  const bar = (label, values, colour) => ({ label, data: values, backgroundColor: css(colour), maxBarThickness: 34, categoryPercentage: 0.86, barPercentage: 0.92 });
  const labels = rounds.map((round) => String(round.round));
  const drawBars = (canvas, sets, value, stacked) => charts.push(new Chart(byId(canvas), {
    type: "bar", data: { labels, datasets: sets },
    options: axes({ legend: true, bars: true, stacked, value, tick: (y) => +y.toPrecision(6) }),
  }));

  const drawCharts = () => {
    charts.splice(0).forEach((chart) => chart.destroy());
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size = 12;
    if (headline) drawMetric("quality", headline);
    if (evaluations.some((entry) => "loss" in entry.metrics)) drawMetric("loss", "loss");
    if (privacy) {
      const spent = rounds.filter((round) => round.privacy).map((round) => ({ x: round.round, y: round.privacy.epsilon }));
      const budget = spent.map((point) => ({ x: point.x, y: privacy.epsilon_max }));
      charts.push(new Chart(byId("epsilon"), {
        type: "line",
        data: { datasets: [
          line(privacy.observer === "public" ? "to the public" : "spent", spent, "--accent", { pointRadius: spent.length <= 40 ? 3 : 0, fill: { target: "start", above: css("--accent-soft"), below: css("--accent-soft") } }),
          line("budget", budget, "--second", { borderDash: [5, 4], pointRadius: 0 }),
        ] },
        options: axes({ legend: true, value: (y) => y.toFixed(3), first: spent.length ? spent[0].x : 1, tick: (y) => +y.toPrecision(3) }),
      }));
    }
    if (hidden) return;
    const mega = (bytes) => bytes / 1e6;
    drawBars("traffic", [
      bar("to nodes", rounds.map((round) => mega(round.sent)), "--accent"),
      bar("from nodes", rounds.map((round) => mega(round.received)), "--second"),
    ], (y) => y.toFixed(2) + " MB", rounds.length > 24);  // side by side the bars would be hairlines
    const rest = (round) => Math.max(0, round.wall_s - round.until_quorum_s - round.until_closed_s - round.committing_s);
    drawBars("time", [
      bar("until quorum", rounds.map((round) => round.until_quorum_s), "--accent"),
      bar("quorum to close", rounds.map((round) => round.until_closed_s), "--second"),
      bar("commit", rounds.map((round) => round.committing_s), "--good"),
      bar("other", rounds.map(rest), "--quiet"),
    ], (y) => y.toFixed(3) + " s", true);
    if (!participation && rounds.length) {
      drawBars("states", states.filter(([letter]) => rounds.some((round) => round.counts[letter]))
        .map(([letter, name, colour]) => bar(name, rounds.map((round) => round.counts[letter] || 0), colour)), (y) => y.toLocaleString(), true);
    }
  };
  if (headline) {
    byId("quality-title").textContent = headline === "accuracy" ? "Accuracy" : headline.toUpperCase();
    const where = privacy ? "after each round, on public test data" : "after each round";
    byId("quality-note").textContent = where;
    byId("loss-note").textContent = where;
  } else {
    byId("quality-card").remove();
  }
  if (!evaluations.some((entry) => "loss" in entry.metrics)) byId("loss-card").remove();

  if (privacy) {
    byId("epsilon-note").textContent = `after each round, ${countText(privacy.releases, "release", "releases")} in all`;
    byId("time-note").textContent += notPrivate;
  } else {
    byId("epsilon-card").remove();
    byId("privacy-section").remove();
  }
  if (hidden) {
    byId("traffic-card").remove();
    byId("time-card").remove();
  }

  // ---- participation -------------------------------------------------------------------------

  let tip;
  const showTip = (event, text) => {
    if (!tip) { tip = element("div", null, "tip"); document.body.append(tip); }
    tip.hidden = false;
    tip.textContent = text;
    tip.style.left = Math.min(event.clientX + 14, innerWidth - 350) + "px";
    tip.style.top = event.clientY + 16 + "px";
  };

  const drawMap = () => {
    const names = nodes.map((entry) => entry.node);
    const letters = participation.letters;
    const holder = byId("map");
    holder.replaceChildren();
    const canvas = element("canvas");
    holder.append(canvas);
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const context = canvas.getContext("2d");
    context.font = font;
    const left = Math.ceil(Math.max(...names.map((name) => context.measureText(name).width))) + 12;
    const top = 20;
    const room = holder.clientWidth - left;
    const width = Math.max(4, Math.min(44, Math.floor(room / letters.length)));
    const height = names.length <= 40 ? 20 : 14;
    const gap = width > 8 ? 2 : width > 5 ? 1 : 0;
    const size = [left + width * letters.length, top + height * names.length];
    const ratio = window.devicePixelRatio || 1;
    canvas.width = size[0] * ratio;
    canvas.height = size[1] * ratio;
    canvas.style.width = size[0] + "px";
    canvas.style.height = size[1] + "px";
    context.scale(ratio, ratio);
    const colours = Object.fromEntries(states.map(([letter, , colour]) => [letter, css(colour)]));
    context.font = font;
    context.textBaseline = "middle";
    context.fillStyle = css("--muted");
    context.textAlign = "center";
    const step = Math.max(1, Math.ceil(28 / width));
    letters.forEach((_, column) => {
      if (column % step === 0) context.fillText(rounds[column].round, left + width * (column + 0.5), top / 2 - 1);
    });
    context.textAlign = "left";
    names.forEach((name, row) => {
      context.fillStyle = css("--text");
      context.fillText(name, 0, top + height * (row + 0.5));
      letters.forEach((text, column) => {
        context.fillStyle = colours[text[row]];
        context.fillRect(left + width * column, top + height * row + 1, width - gap, height - 2);
      });
    });
    const reasons = new Map(participation.reasons.map(([round, node, state, reason]) => [`${round}/${node}`, reason ? `${state}: ${reason}` : state]));
    canvas.onmousemove = (event) => {
      const column = Math.floor((event.offsetX - left) / width);
      const row = Math.floor((event.offsetY - top) / height);
      if (column < 0 || row < 0 || column >= letters.length || row >= names.length) { if (tip) tip.hidden = true; return; }
      const round = rounds[column].round;
      const state = states.find(([letter]) => letter === letters[column][row])[1];
      showTip(event, `${names[row]}, round ${round}: ${reasons.get(`${round}/${row}`) || state}`);
    };
    canvas.onmouseleave = () => { if (tip) tip.hidden = true; };
  };

  const row = (table, cells, tag = "td") => {
    const line = element("tr");
    for (const [text, className] of cells) line.append(element(tag, text, className));
    table.append(line);
  };

  if (rounds.length && !hidden) {
    const used = new Set(participation ? participation.letters.join("") : rounds.flatMap((round) => Object.keys(round.counts)).join(""));
    if (participation) {
      for (const [letter, name, colour] of states.filter(([letter]) => used.has(letter))) {
        const entry = element("span");
        const box = element("i");
        box.style.background = `var(${colour})`;
        entry.append(box, name);
        byId("legend").append(entry);
      }
      byId("participation-note").textContent = `Each row is a node, each column a round${notPrivate}.`;
    } else {
      byId("participation-note").textContent = `${run.node_count.toLocaleString()} nodes, summed by state in each round${notPrivate}.`;
      byId("states-plot").hidden = false;
    }
    const table = byId("nodes");
    row(table, [["node"], ["invited", "number"], ["accepted", "number"], ["failed", "number"], ["cut", "number"], ["unfinished", "number"], ["surplus", "number"], [`mean time${notPrivate}`, "number"], [`last reason${notPrivate}`]], "th");
    for (const entry of nodes) {
      const count = (letter) => [String(entry.counts[letter] || 0), "number"];
      row(table, [[entry.node, "name"], [String(entry.invited), "number"], count("A"), count("F"), count("C"), count("U"), count("S"), [entry.mean_s === null ? "" : durationText(entry.mean_s), "number"], [entry.last_reason, "wide"]]);
    }
    byId("nodes-summary").textContent = participation ? `All ${countText(nodes.length, "node", "nodes")}` : `The ${nodes.length} nodes with most trouble`;
  } else {
    byId("participation-section").remove();
  }

  // ---- tables --------------------------------------------------------------------------------

  if (events.length) {
    if (events.length < data.event_count) byId("events-note").textContent = `The newest ${events.length.toLocaleString()} of ${data.event_count.toLocaleString()}.`;
    const table = byId("events");
    row(table, [["round"], ["time"], ["event"], ["node"], ["detail"]], "th");
    for (const event of events) {
      row(table, [[String(event.round), "name"], [new Date(event.unix_ms).toLocaleTimeString(), "name"], [event.kind, "name"], [event.node, "name"], [event.detail, "wide"]]);
    }
  } else {
    byId("events-note").textContent = hidden ? "None. What happens to nodes is not shown, as their cohorts are secret." : "None: no node was lost, cut, refused or late.";
  }

  if (privacy) {
    const facts = byId("privacy-facts");
    const fact = (name, value) => {
      if (!value) return;
      const entry = element("tr");
      entry.append(element("td", name), element("td", value));
      facts.append(entry);
    };
    fact("protects", privacy.unit === "record" ? "each single training record" : "each node with all its data");
    fact("neighbours", privacy.adjacency === "replace_one" ? "differ by one in another's place" : hidden ? "differ by one enrolled node that sends zeros" : "differ by one more or less");
    fact("budget", `epsilon ${short(privacy.epsilon_max)} at delta ${privacy.delta}`);
    fact("observer", privacy.observer === "public" ? "somebody who does not know who is in a cohort" : "an insider, who sees who takes part");
    fact("spent", `epsilon ${short(privacy.epsilon_spent)} at most, after ${countText(privacy.releases, "release", "releases")}`);
    if (privacy.epsilon_insider !== null) fact("an insider's", `epsilon ${short(privacy.epsilon_insider)} at most: as if one node had been in every cohort. Each site's own ledger knows its nodes' exactly`);
    fact("noise is added by", { agent: "each node, for itself", distributed: "the nodes, in shares", coordinator: "the coordinator, to each sum" }[privacy.placement]);
    fact("planned noise", `multiplier ${short(privacy.noise_planned)}${privacy.placement === "distributed" ? ", with as few honest survivors as may be" : ""}`);
    if (privacy.noise_realised !== null) fact("realised noise", `multiplier ${short(privacy.noise_realised)}, with those of the last release`);
    if (privacy.clip_norm !== null) fact("clip norm", `${short(privacy.clip_norm)} in the last round; it follows the nodes' updates`);
    if (privacy.skipped) fact("skipped", `${countText(privacy.skipped, "round", "rounds")}, paid for like any other`);
    const marks = byId("privacy-marks");
    row(marks, [["figure"], ["disclosure"], ["why"]], "th");
    for (const mark of privacy.marks) {
      row(marks, [[mark.figure, "name"], [mark.disclosure, "mark-" + mark.disclosure.replace(" ", "-")], [mark.why, "wide"]]);
    }
  }

  const metrics = ["accuracy", "auc", "f1", "mae", "loss"].filter((name) => evaluations.some((entry) => name in entry.metrics));
  const table = byId("rounds");
  const hasClip = rounds.some((round) => round.privacy && round.privacy.clip_norm !== null);
  const columns = [
    ["round", (round) => `${round.round}${round.skipped ? " skipped" : ""}`],
    ...metrics.map((name) => [name, (round) => {
      const evaluation = evaluationOf.get(round.round);
      return evaluation ? metricText(name, evaluation.metrics[name]) : "";
    }]),
    ...(privacy ? [["epsilon", (round) => (round.privacy ? short(round.privacy.epsilon) : "")]] : []),
    ...(privacy && !hidden ? [["noise", (round) => (round.privacy ? short(round.privacy.noise) : "")]] : []),
    ...(hasClip ? [["clip norm", (round) => (round.privacy ? short(round.privacy.clip_norm) : "")]] : []),
    ...(hidden ? [] : [
      ["nodes", (round) => `${round.counts.A || 0}/${round.invited}`],
      ["time", (round) => durationText(round.wall_s)],
      ["down", (round) => bytesText(round.sent)],
      ["up", (round) => bytesText(round.received)],
      ...(privacy ? [] : [["examples", (round) => (round.weight_sum === null ? "" : Math.round(round.weight_sum).toLocaleString())]]),
    ]),
    ["update norm", (round) => (round.update_norm === null ? "" : round.update_norm.toPrecision(4))],
    ...(privacy ? [] : [["clamped", (round) => (round.clamped_sum === null ? "" : Math.round(round.clamped_sum).toLocaleString())]]),
  ];
  row(table, [...columns.map(([name]) => [name, "number"]), ["model SHA-256"]], "th");
  for (const round of rounds) {
    row(table, [...columns.map(([, text]) => [text(round), "number"]), [round.sha256.slice(0, 12) + "…", "name"]]);
  }

  byId("job").textContent = run.job_yaml;

  const facts = byId("checksums");
  const fact = (name, value) => {
    const entry = element("tr");
    entry.append(element("td", name));
    const cell = element("td");
    cell.append(element("code", value));
    entry.append(cell);
    facts.append(entry);
  };
  fact("last model", run.model_sha256);
  fact("initial model", run.initial_sha256);
  fact("roster", run.roster_sha256);
  fact("run", run.run_id);
  fact("seed", run.seed);
  fact("version", run.software_version);
  for (const checkpoint of data.checkpoints) fact(`round ${checkpoint.round}`, [checkpoint.model, checkpoint.state].filter(Boolean).join(", "));

  // ---- colours follow the system and the printer -------------------------------------------------

  const draw = () => {
    drawCharts();
    if (participation && rounds.length) drawMap();
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  matchMedia("print").addEventListener("change", draw);
  let pending;
  addEventListener("resize", () => {
    clearTimeout(pending);
    pending = setTimeout(() => { if (participation && rounds.length) drawMap(); }, 150);
  });
})();
