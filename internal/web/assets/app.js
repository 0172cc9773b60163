// Small conveniences. Every page does its work without this file.
"use strict";

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

// Without a network, say so and keep the page with everything typed on it.
const offline = document.querySelector("[data-offline]");
const sayOffline = () => { offline.textContent = navigator.onLine ? "" : offline.dataset.offline; };
addEventListener("online", sayOffline);
addEventListener("offline", sayOffline);
sayOffline();

// Nobody means to press twice. When no answer came for a while, somebody does:
// the nonce in the form makes that the same request.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (!navigator.onLine) {
      event.preventDefault();
      sayOffline();
      offline.scrollIntoView({ block: "center" });
      return;
    }
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => { delete form.dataset.sent; }, 8000);
  });
  addEventListener("pageshow", () => { delete form.dataset.sent; });
}

// Look again while the host is being told.
for (const waiting of document.querySelectorAll("[data-reload]")) {
  const look = () => {
    if (navigator.onLine) location.reload();
    else addEventListener("online", look, { once: true });
  };
  setTimeout(look, Number(waiting.dataset.reload));
}
