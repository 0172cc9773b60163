// Small conveniences. Every page does its work without this file.
"use strict";

// wire makes the parts of a page work: once when it is loaded, and again when
// what came back to a form took its place.
function wire() {
  // Show or hide what is typed as a new password.
  for (const button of document.querySelectorAll("[data-toggle]")) {
    const field = document.getElementById(button.dataset.toggle);
    const show = button.textContent;
    button.hidden = false;
    button.addEventListener("click", () => {
      const hidden = field.type === "password";
      field.type = hidden ? "text" : "password";
      button.textContent = hidden ? button.dataset.hide : show;
      field.focus();
    });
    // Browsers must not keep it as plain text.
    field.form.addEventListener("submit", () => { field.type = "password"; });
  }

  // Tick the rules that the password meets so far. The server has the last word.
  for (const list of document.querySelectorAll("[data-rules]")) {
    const field = document.getElementById(list.dataset.rules);
    const kinds = [/\p{Ll}/u, /\p{Lu}/u, /\p{Nd}/u, /[^\p{L}\p{Nd}]/u];
    field.addEventListener("input", () => {
      const length = [...field.value].length;
      for (const rule of list.children) {
        const { min, max, classes } = rule.dataset;
        const met =
          min ? length >= Number(min) :
          max ? length > 0 && length <= Number(max) :
          classes ? kinds.filter((kind) => kind.test(field.value)).length >= Number(classes) :
          false;
        rule.classList.toggle("met", met);
      }
    });
  }

  // A message can be sent again only after a while: count the seconds down.
  for (const button of document.querySelectorAll("[data-wait]")) {
    const text = button.textContent;
    const ready = performance.now() + Number(button.dataset.wait);
    const tick = () => {
      const left = Math.ceil((ready - performance.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? `${text} (${left})` : text;
      if (left > 0) setTimeout(tick, 250);
    };
    tick();
  }

  for (const form of document.forms) {
    form.addEventListener("submit", (event) => {
      if (event.submitter === undefined) return; // an older browser does not say which button: it sends by itself
      event.preventDefault();
      send(form, event.submitter);
    });
  }

  // Look again while the host is being told.
  for (const waiting of document.querySelectorAll("[data-reload]")) {
    const look = () => {
      if (navigator.onLine) location.reload();
      else addEventListener("online", look, { once: true });
    };
    setTimeout(look, Number(waiting.dataset.reload));
  }
}

// Without a network, say so and keep the page with everything typed on it. It is
// kept in the fields alone and nowhere else.
const say = (text) => {
  const line = document.querySelector("[data-offline]");
  line.textContent = text;
  line.classList.toggle("busy", text === line.dataset.sending);
};
const sayOffline = () => { say(navigator.onLine ? "" : document.querySelector("[data-offline]").dataset.offline); };
addEventListener("online", sayOffline);
addEventListener("offline", sayOffline);

// sent are the forms on their way, each with what a button pressed meanwhile does.
const sent = new Map();

// send posts a form until an answer comes, however often the line breaks: the
// nonce in it makes all of that one request. Pressing twice is pressing once, but
// when the first press did not get through, what is typed and pressed last counts.
async function send(form, submitter) {
  if (sent.has(form)) {
    sent.get(form)(submitter);
    return;
  }
  const read = (submitter) => {
    const fields = new URLSearchParams(new FormData(form));
    if (submitter && submitter.name) fields.append(submitter.name, submitter.value);
    return fields;
  };
  let body = read(submitter);
  let next = null, go = () => {};
  sent.set(form, (pressed) => { next = read(pressed); go(); });
  for (let wait = 1000; sent.has(form); wait = Math.min(2 * wait, 16000)) {
    const line = document.querySelector("[data-offline]");
    const slow = setTimeout(() => say(line.dataset.sending), 1000);
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), 30000); // longer than the server takes for anything, in milliseconds
    let answer, page;
    try {
      answer = await fetch(form.action, { method: "POST", body, signal: stop.signal });
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!page.querySelector("[data-offline]")) throw new Error("not our page: something on the line answered");
    } catch {
      answer = null;
      clearTimeout(slow);
      say(line.dataset.offline);
      line.scrollIntoView({ block: "center" });
      await new Promise((resume) => {
        go = resume;
        addEventListener("online", resume, { once: true });
        if (navigator.onLine) setTimeout(resume, wait);
        if (next) resume();
      });
      go = () => {};
      if (next) body = next;
      next = null;
    } finally {
      clearTimeout(slow);
      clearTimeout(timer);
    }
    if (answer) {
      sent.delete(form);
      show(answer, page);
    }
  }
}

// show opens what the answer leads to. An error is a page in itself, and takes
// the place of this one.
function show(answer, page) {
  if (answer.redirected) {
    location.assign(answer.url);
    return;
  }
  const first = page.querySelector("[autofocus]") || page.getElementById("main");
  first.removeAttribute("autofocus"); // only a page that is loaded may have it
  document.title = page.title;
  document.body.replaceWith(page.body);
  wire();
  sayOffline();
  scrollTo(0, 0);
  first.focus();
}

// A page that comes back from the browser's memory is on its way no more.
addEventListener("pageshow", () => { sent.clear(); });

wire();
sayOffline();
