"use strict";
// Live events, keys, and what a browser does not do by itself. Everything else is htmx.
const jobs = document.getElementById("jobs");
const problem = document.getElementById("problem");

function announceChange() { htmx.trigger(document.body, "changed"); }

function showProblem(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

// --- progress of trainings ---
function showProgress(event) {
  const id = "job-" + event.candidate + "-" + event.seed;
  let line = document.getElementById(id);
  if (!line) {
    line = document.createElement("div");
    line.id = id;
    line.className = "job";
    const name = document.createElement("code");
    name.textContent = event.candidate;
    const bar = document.createElement("progress");
    const rate = document.createElement("span");
    const acts = document.createElement("div");
    acts.className = "row";
    if (event.in_race) acts.append(...Object.keys(steers).map((act) => makeSteer(event, act)));
    line.append(name, bar, rate, acts);
    jobs.append(line);
  }
  const steps = event.total_timesteps || 0;
  const bar = line.querySelector("progress");
  bar.max = event.total;
  bar.value = steps;
  bar.setAttribute("aria-label", "training of " + event.candidate);
  const pace = event.steps_per_s ? " · " + Math.round(event.steps_per_s).toLocaleString() + "/s" : "";
  const left = event.steps_per_s ? " · " + Math.ceil((event.total - steps) / event.steps_per_s) + " s" : "";
  line.querySelector("span").textContent = Math.round(steps).toLocaleString() + " steps" + pace + left;
}

// What may be done to a training that is under way.
const steers = {
  pin: ["Pin", "the race does not stop it"],
  stop: ["Stop", "train it no further than to the end of its slice"],
  more: ["More", "half as many steps again"],
};

function makeSteer(event, act) {
  const button = document.createElement("button");
  button.type = "button";
  [button.textContent, button.title] = steers[act];
  button.addEventListener("click", () => htmx.ajax("POST", "/do/steer", {
    target: "#steered", values: { act: act, id: event.candidate, steps: Math.ceil(event.total / 2) },
  }));
  return button;
}

function showStage(text) {
  let line = document.getElementById("stage-line");
  if (!line) {
    line = document.createElement("p");
    line.id = "stage-line";
    line.className = "hint";
    jobs.prepend(line);
  }
  line.textContent = text;
}

const told = {
  training_progress: showProgress,
  iteration_started: (event) => showStage("Round " + (event.iteration + 1) + ": the designer writes programs …"),
  drafted: (event) => showStage(event.id + ": " + event.outcome.text),
  trained_until: (event) => {
    document.getElementById("job-" + event.candidate + "-" + event.seed)?.remove();
    showStage(event.candidate + ": evaluated on fresh episodes …");
  },
  concluded: (event) => showStage(event.candidate + ": " + event.outcome.text),
  retry: (event) => showStage("waiting: " + event.reason),
  failed: (event) => showProblem(event.reason),
  changed: announceChange,
  round_ended: () => {
    jobs.replaceChildren();
    announceChange();
    // What is being typed is about what is being watched.
    const isBusy = document.querySelector("#editor, #vote") || document.getElementById("description").value;
    if (!isBusy) openTab("/part/watch");
  },
};

function listen() {
  const source = new EventSource("/events");
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (told[event.kind]) told[event.kind](event);
  };
  let wasLost = false;
  source.onerror = () => { wasLost = true; document.body.classList.add("lost"); };
  source.onopen = () => {
    document.body.classList.remove("lost");
    if (wasLost) { wasLost = false; announceChange(); }
  };
}

// --- views ---
function noteWatched() {
  const name = document.querySelector("#stage [data-watched]")?.dataset.watched || "";
  document.getElementById("about").value = name;
  document.getElementById("about-name").textContent = name || "the policy";
}
function openTab(address) {
  const tab = document.querySelector('.tab[hx-get="' + address + '"]');
  if (tab) tab.click();
}
document.addEventListener("click", (event) => {
  const tab = event.target.closest(".tab");
  if (tab) for (const other of document.querySelectorAll(".tab")) other.classList.toggle("on", other === tab);
  const again = event.target.closest("[data-replay]");
  if (again) {
    const image = document.getElementById(again.dataset.replay).querySelector("img");
    image.src = image.src.split("?")[0] + "?" + Date.now();
  }
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "stage") return;
  noteWatched();
  const address = event.detail.requestConfig.path;
  for (const tab of document.querySelectorAll(".tab")) {
    const own = tab.getAttribute("hx-get");
    tab.classList.toggle("on", address.startsWith(own) || (own === "/part/compare" && address === "/do/vote"));
  }
});
document.addEventListener("htmx:beforeRequest", () => showProblem(""));
document.addEventListener("htmx:responseError", (event) => showProblem(event.detail.xhr.responseText));
document.addEventListener("htmx:sendError", () => showProblem("The session has ended: start it again with reward-agent feedback."));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && event.detail.elt.closest("#say")) document.getElementById("say").reset();
  noteWatched();
});

// --- keys ---
document.addEventListener("keydown", (event) => {
  const isWriting = event.target.closest("textarea, input, select, [contenteditable]");
  if (isWriting) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form?.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const button = document.querySelector('#vote [data-key="' + CSS.escape(event.key.toLowerCase()) + '"]');
  if (button && !document.querySelector("#vote .pending")) { event.preventDefault(); button.click(); }
});

// --- what a point of a chart says ---
const tip = document.getElementById("tip");
document.addEventListener("pointermove", (event) => {
  const mark = event.target.closest("[data-tip]");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(event.clientX + 14, window.innerWidth - box.width - 8)) + "px";
  tip.style.top = Math.max(8, event.clientY - box.height - 12) + "px";
});

noteWatched();
listen();
