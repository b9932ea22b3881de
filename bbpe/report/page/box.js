// The live box: what is typed or pasted is cut by every vocabulary in the page. Encoding is in encoder.js.
"use strict";

(() => {
  const box = document.getElementById("live-box");
  if (!box) return;
  const data = JSON.parse(document.getElementById("live-data").textContent);
  const area = box.querySelector("textarea");
  const status = box.querySelector(".status");
  const list = box.querySelector(".results");
  const idsWanted = box.querySelector("input.ids");
  const DRAWN = 3000; // tokens drawn for one vocabulary; all are counted
  const CHARACTERS = 100000; // of the text; more would keep the page busy for seconds at every key
  const GROUNDS = 6;
  const vocabularies = [];
  let started = false;
  area.value = data.text;

  const SIGNS = new Map([[" ", "␣"], ["\n", "⏎"], ["\r", "␍"], ["\t", "⇥"], ["\u00a0", "⍽"]]);
  const OURS = new Set([...SIGNS.values(), "⟨", "⟩", "◌"]);
  const BLANK = /[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\u180b-\u180f\u{e0100}-\u{e01ef}]/u;
  const hex = (number, width) => number.toString(16).toUpperCase().padStart(width, "0");

  /** The characters of some bytes, each valid one as a string, each byte of a partial one as a number. */
  function* characters(bytes) {
    for (let at = 0; at < bytes.length; ) {
      const first = bytes[at];
      const length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
      let text = null;
      if (length && at + length <= bytes.length) {
        try {
          text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(at, at + length));
        } catch {
          text = null;
        }
      }
      yield text === null ? first : text;
      at += text === null ? 1 : length;
    }
  }

  /** A token as spans: white space as signs, partial characters and unprintable ones spelled out, as cells.visible. */
  function* visible(bytes) {
    let partial = [];
    let start = true;
    for (const character of characters(bytes)) {
      if (typeof character === "number") {
        partial.push(hex(character, 2));
        start = false;
        continue;
      }
      if (partial.length) yield ["partial", `⟨${partial.join(" ")}⟩`];
      partial = [];
      if (SIGNS.has(character)) yield ["space", SIGNS.get(character)];
      else if (/[\p{C}\p{Z}]/u.test(character) || OURS.has(character) || BLANK.test(character)) {
        yield [/\p{Z}/u.test(character) ? "space" : "control", `⟨U+${hex(character.codePointAt(0), 4)}⟩`];
      } else yield ["text", start && /\p{M}/u.test(character) ? `◌${character}` : character];
      start = false;
    }
    if (partial.length) yield ["partial", `⟨${partial.join(" ")}⟩`];
  }

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function drawn(vocabulary, places) {
    const cut = element("div", "cut");
    places.slice(0, DRAWN).forEach((place, number) => {
      const bytes = vocabulary.tokens[place];
      const token = element("span", `token ground-${number % GROUNDS}`);
      for (const [kind, text] of visible(bytes)) token.append(kind === "text" ? text : element("i", kind, text));
      token.title = `id ${vocabulary.ids[place]} · ${Array.from(bytes, (byte) => hex(byte, 2)).join(" ")}`;
      if (idsWanted.checked) token.append(element("small", "id", String(vocabulary.ids[place])));
      cut.append(token, element("wbr")); // a line may end between any two tokens
    });
    if (places.length > DRAWN) cut.append(element("em", "", ` … and ${(places.length - DRAWN).toLocaleString("en")} more`));
    return cut;
  }

  function show() {
    const text = area.value.length > CHARACTERS ? area.value.slice(0, CHARACTERS) : area.value;
    const count = Array.from(text).length;
    list.replaceChildren(
      ...vocabularies.map((vocabulary) => {
        const item = element("div", "row");
        item.dataset.name = vocabulary.name;
        const head = element("div", "label");
        head.append(element("b", "", vocabulary.name));
        item.append(head);
        try {
          const places = vocabulary.encode(text);
          item.ids = places.map((place) => vocabulary.ids[place]);
          head.append(element("span", "count", places.length.toLocaleString("en")));
          if (count) head.append(element("small", "", `${(places.length / count).toFixed(3)} a character`));
          item.append(drawn(vocabulary, places));
        } catch (error) {
          if (!(error instanceof bbpeEncoder.MissingByte)) throw error;
          item.append(element("div", "cut missing", `cannot encode this: ${error.message}`));
        }
        return item;
      }),
    );
    box.dataset.text = text;
    const shortened = text.length < area.value.length ? ` The rest of the text is not cut: ${CHARACTERS.toLocaleString("en")} are the most.` : "";
    status.textContent = `${count.toLocaleString("en")} characters.${shortened}${checked()}`;
  }

  /** Whether this browser gives the first text the ids that bbpe gave it when the page was written. */
  let verdict = null;
  function checked() {
    if (verdict === null) {
      const differing = vocabularies.filter((vocabulary) => {
        let ids = null;
        try {
          ids = vocabulary.encode(data.text).map((place) => vocabulary.ids[place]);
        } catch (error) {
          if (!(error instanceof bbpeEncoder.MissingByte)) throw error;
        }
        return JSON.stringify(ids) !== JSON.stringify(vocabulary.expected);
      });
      const names = differing.map((vocabulary) => vocabulary.name).join(", ");
      box.dataset.check = differing.length ? "differs" : "equal";
      verdict = differing.length
        ? ` This browser's ids for the sample text differ from bbpe's for ${names}: do not rely on them.`
        : " Checked in this browser: the ids of the sample text are bbpe's.";
    }
    return verdict;
  }

  async function start() {
    if (started) return;
    started = true;
    try {
      let number = 0;
      for await (const vocabulary of bbpeEncoder.unpacked(data)) {
        vocabulary.expected = data.vocabularies[number].expected;
        vocabularies.push(vocabulary);
        number += 1;
        status.textContent = `Unpacking vocabularies: ${number} of ${data.vocabularies.length}`;
        await new Promise((resolve) => setTimeout(resolve)); // the page draws in between
      }
    } catch (error) {
      status.textContent = `The vocabularies cannot be unpacked in this browser: ${error.message}`;
      return;
    }
    show();
    let waiting = 0;
    area.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(show, 60);
    });
    idsWanted.addEventListener("change", show);
    box.dataset.ready = "yes";
  }

  // Unpacking takes a moment, which a reader who never scrolls here need not wait for.
  area.addEventListener("focus", start, { once: true });
  if ("IntersectionObserver" in window) {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      start();
    });
    observer.observe(box);
  } else {
    start();
  }
})();
