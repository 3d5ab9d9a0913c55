// What pages do by themselves: ask for news while they are seen, copy, open dialogs, change the theme. No markup is
// made here of anything that came from a batch.
"use strict";

(() => {
  const EVERY = 2000;
  const root = document.documentElement;

  // News: pages that are not seen ask nothing, and ask at once when they are seen again. What is over changes no more.
  let rounds = 0;
  const over = () => document.querySelector("[data-over]") !== null;
  let wasOver = over();
  const tell = (name) => document.body.dispatchEvent(new CustomEvent(name));
  const poll = () => {
    if (document.visibilityState !== "visible") return;
    const isOver = over();
    if (!isOver) tell("poll");
    if (isOver ? !wasOver : ++rounds % 8 === 0) tell("slow");
    wasOver = isOver;
  };
  setInterval(poll, EVERY);
  document.addEventListener("visibilitychange", poll);

  const lost = document.querySelector("[data-lost]");
  document.addEventListener("htmx:finally:request", (event) => {
    const response = event.detail.ctx.response;
    const isGone = !response || response.status >= 500;
    if (lost && event.detail.ctx.status !== "created") lost.hidden = !isGone;
    if (response && response.status === 200 && event.target.matches?.("[data-until-found]")
        && event.detail.ctx.text.includes("<table")) location.reload();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.opens) document.getElementById(button.dataset.opens)?.showModal();
    if ("closes" in button.dataset) button.closest("dialog")?.close();
    if (button.dataset.copies !== undefined) copy(button);
    if ("themeButton" in button.dataset) turn();
  });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    for (const button of event.target.querySelectorAll("button:not([type=button])")) button.disabled = true;
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("form button[disabled]")) button.disabled = false;
  });

  async function copy(button) {
    const label = button.firstChild;
    const before = label.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copies);
      label.textContent = "Copied";
    } catch {
      const text = button.parentElement.querySelector("code");
      if (text) getSelection().selectAllChildren(text);
      label.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { label.textContent = before; }, 1500);
  }

  function turn() {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `batchyard_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
    document.dispatchEvent(new CustomEvent("theme"));
  }

  // Keys: a slash goes to the search, as in many tools.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, dialog");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    }
  });
})();
