// Looks at the page it runs in, after axe. Each function gives a list of what is
// wrong, in words; an empty one is a pass.
"use strict";

window.wanbi = {
  // Everything about a page on a telephone.
  async telephone({ least, also }) {
    await wanbi.focused();
    return [...wanbi.structure(), ...await wanbi.axe({ also }), ...wanbi.width(), ...wanbi.targets(least)];
  },

  // A browser moves the focus to the summary when it draws, which is after loading.
  async focused() {
    const alert = document.querySelector("[role=alert]");
    for (let frame = 0; alert && document.activeElement !== alert && frame < 600; frame++) {
      await new Promise(requestAnimationFrame);
    }
  },

  // What a wide window changes, and then what the night changes.
  async desk({ least, day, night, dim }) {
    return [...wanbi.width(), ...wanbi.targets(least), ...await wanbi.dress(day, night), ...await wanbi.axe({ only: dim })];
  },

  // Every rule of axe on the page, or the named ones alone.
  async axe(rules) {
    const options = { resultTypes: ["violations"] };
    if (rules.only) options.runOnly = { type: "rule", values: rules.only };
    if (rules.also) options.rules = Object.fromEntries(rules.also.map((rule) => [rule, { enabled: true }]));
    const { violations } = await axe.run(document, options);
    return violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, any }) => {
      const seen = any[0]?.data;
      const contrast = seen?.contrastRatio ? ` ${seen.contrastRatio} of ${seen.fgColor} on ${seen.bgColor}` : "";
      return `axe ${id}: ${help}:${contrast} ${html.slice(0, 160)}`;
    }));
  },

  // Changes the sheets to those of another mode and waits for them.
  async dress(from, to) {
    await Promise.all([...document.querySelectorAll("link[rel=stylesheet]")].map((link) => new Promise((done, fail) => {
      const other = link.cloneNode();
      other.href = link.href.replace(`/files/${from}/`, `/files/${to}/`);
      other.onload = done;
      other.onerror = () => fail(new Error(`no ${other.href}`));
      link.replaceWith(other);
    })));
    return [];
  },

  // How the page is built.
  structure() {
    const wrong = [];
    const say = (ok, what) => { if (!ok) wrong.push(what); };
    const all = (selector) => [...document.querySelectorAll(selector)];
    for (const one of ["h1", "main", "header", "footer", "title"]) say(all(one).length === 1, `not exactly one ${one}`);
    say(["zh-CN", "en"].includes(document.documentElement.lang), "no language");
    say(!all("style, [style], script:not([src])").length, "an inline style or script");
    say(!all("*").some((e) => [...e.attributes].some((a) => a.name.startsWith("on"))), "an inline handler");
    for (const field of all("input:not([type=hidden]):not([hidden])")) say(field.labels.length === 1, `no label for ${field.name}`);
    const alerts = all("[role=alert]");
    for (const alert of alerts) {
      say(document.activeElement === alert, "the summary has not the focus");
      for (const link of alert.querySelectorAll("a")) say(document.querySelector(link.hash), `the summary leads to ${link.hash}, which is not there`);
    }
    for (const field of all("[aria-invalid]")) {
      say(alerts.some((alert) => alert.querySelector(`a[href="#${field.id}"]`)), `no summary leads to ${field.name}`);
    }
    return wrong;
  },

  // Every target that stands alone is at least this high and wide, in CSS pixels.
  targets(least) {
    const wrong = [];
    for (const e of document.querySelectorAll("a[href], button, summary, input:not([type=hidden])")) {
      if (!e.checkVisibility() || e.matches(".skip:not(:focus)")) continue;
      // In a sentence the line sets the height (WCAG 2.2, 2.5.8); a radio button is pressed by its label.
      const inSentence = e.matches("a") && getComputedStyle(e).display === "inline";
      if (inSentence) continue;
      const box = (e.type === "radio" ? e.labels[0] : e).getBoundingClientRect();
      if (box.height < least - 0.5 || box.width < least - 0.5) {
        wrong.push(`a target of ${Math.round(box.width)} × ${Math.round(box.height)}, less than ${least}: ${e.outerHTML.slice(0, 120)}`);
      }
    }
    return wrong;
  },

  // Nothing to scroll sideways, and nothing that hangs out of the window.
  width() {
    const room = document.documentElement.clientWidth;
    const wrong = [];
    if (document.documentElement.scrollWidth > room) wrong.push(`it scrolls sideways: ${document.documentElement.scrollWidth} in ${room}`);
    for (const e of document.querySelectorAll("main *, aside *, header *, footer *")) {
      const box = e.getBoundingClientRect();
      if (box.width > 1 && (box.right > room + 0.5 || box.left < -0.5) && e.checkVisibility() && !e.closest("svg")) {
        wrong.push(`it hangs out at ${room} px: ${e.outerHTML.slice(0, 120)}`);
      }
    }
    return wrong;
  },
};
