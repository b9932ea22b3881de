// bbpe's encoder for a page: what bbpe/reference.py says, for byte-level vocabularies, in the reader's browser.
//
// What it does: unpack what bbpe/report/livebox.py packed, cut text into pretokens with the pattern's own automaton
// (the tables that bbpe compiled, so that no regular expression of the browser's, and no other Unicode version, comes
// into it), and merge, lowest rank first. Only NFC is the browser's own, which for all characters that both know cannot
// differ (Unicode's stability policy). What it does not: special tokens, which are plain text here; drawing (box.js).
// Its ids are compared with bbpe's in tests/test_report_javascript.py.
"use strict";

const bbpeEncoder = (() => {
  const CODE_POINTS = 0x110000;
  const POSITIONS = 2 ** 30; // rank * POSITIONS + position is exact in a double for ranks up to 2 ** 23
  const CACHED = 20000; // pretokens whose ids are remembered

  /** Numbers of variable length (LEB128) and bytes, one after another. */
  class Reader {
    constructor(bytes) {
      this.bytes = bytes;
      this.at = 0;
    }

    number() {
      let value = 0;
      for (let scale = 1; ; scale *= 128) {
        const byte = this.bytes[this.at++];
        value += (byte & 127) * scale;
        if (byte < 128) return value;
      }
    }

    signed() {
      const value = this.number();
      return value % 2 ? -(value + 1) / 2 : value / 2;
    }

    take(length) {
      this.at += length;
      return this.bytes.subarray(this.at - length, this.at);
    }
  }

  async function inflated(base64) {
    const text = atob(base64);
    const packed = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at++) packed[at] = text.charCodeAt(at);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** One stage of a pattern: an automaton over classes of characters (bbpe/automaton.py, Machine). */
  class Stage {
    constructor(reader) {
      const states = reader.number();
      this.classes = reader.number();
      this.columns = this.classes + 1; // the last is the end of the text
      this.next = Uint16Array.from({ length: states * this.columns }, () => reader.number());
      this.accept = Uint8Array.from({ length: states * this.columns }, () => reader.number());
      this.classOf = new Uint8Array(CODE_POINTS);
      let start = 0;
      for (let left = reader.number(); left > 0; left--) {
        const length = reader.number();
        this.classOf.fill(reader.number(), start, start + length);
        start += length;
      }
    }

    /** The end of the match that begins at `begin`, or -1. */
    matchEnd(points, begin, end) {
      let state = 1;
      let last = -1;
      for (let at = begin; at < end; at++) {
        const cell = state * this.columns + this.classOf[points[at]];
        if (this.accept[cell]) last = at;
        state = this.next[cell];
        if (state === 0) return last;
      }
      return this.accept[state * this.columns + this.classes] ? end : last;
    }

    /** The ends of the pretokens in points[begin..end]; what stands between two matches is a pretoken too. */
    cut(points, begin, end, ends) {
      let gap = false;
      for (let at = begin; at < end; ) {
        const past = this.matchEnd(points, at, end);
        if (past < 0) {
          gap = true;
          at++;
          continue;
        }
        if (gap) ends.push(at);
        gap = false;
        ends.push(past);
        at = past;
      }
      if (gap) ends.push(end);
    }
  }

  class Pattern {
    constructor(bytes) {
      const reader = new Reader(bytes);
      this.stages = Array.from({ length: reader.number() }, () => new Stage(reader));
    }

    /** The ends of the pretokens; each stage sees each piece of the one before as a whole text. */
    ends(points) {
      let ends = points.length ? [points.length] : [];
      for (const stage of this.stages) {
        const finer = [];
        let begin = 0;
        for (const end of ends) {
          stage.cut(points, begin, end, finer);
          begin = end;
        }
        ends = finer;
      }
      return ends;
    }
  }

  /** The smallest of some numbers first. */
  class Heap {
    constructor() {
      this.items = [];
    }

    push(item) {
      const items = this.items;
      let at = items.push(item) - 1;
      while (at > 0) {
        const above = (at - 1) >> 1;
        if (items[above] <= item) break;
        items[at] = items[above];
        at = above;
      }
      items[at] = item;
    }

    pop() {
      const items = this.items;
      const top = items[0];
      const item = items.pop();
      if (items.length) {
        let at = 0;
        for (;;) {
          let below = 2 * at + 1;
          if (below >= items.length) break;
          if (below + 1 < items.length && items[below + 1] < items[below]) below++;
          if (items[below] >= item) break;
          items[at] = items[below];
          at = below;
        }
        items[at] = item;
      }
      return top;
    }
  }

  /** Bytes as a string of as many characters, which a Map can find. */
  function binary(bytes) {
    const parts = [];
    for (let at = 0; at < bytes.length; at += 8192) {
      parts.push(String.fromCharCode.apply(null, bytes.subarray(at, at + 8192)));
    }
    return parts.join("");
  }

  class MissingByte extends Error {
    constructor(byte) {
      super(`this vocabulary has no token for byte 0x${byte.toString(16).toUpperCase().padStart(2, "0")}`);
      this.byte = byte;
    }
  }

  class Vocabulary {
    /** `packed`: an entry of what livebox.packed made; `bytes`: its blob; `pattern`: a Pattern. */
    constructor(packed, bytes, pattern) {
      this.name = packed.name;
      this.wholePretoken = packed.whole_pretoken;
      this.normalizer = packed.normalizer;
      this.pattern = pattern;
      this.cache = new Map();
      const reader = new Reader(bytes);
      const count = reader.number();
      const lengths = Array.from({ length: count }, () => reader.number());
      let id = 0;
      this.ids = Array.from({ length: count }, () => (id += reader.signed()));
      this.longest = lengths.reduce((longest, length) => Math.max(longest, length), 0);
      const all = reader.take(lengths.reduce((sum, length) => sum + length, 0));
      const text = binary(all);
      this.places = new Map(); // bytes → place; in a rank table the place is the rank
      this.tokens = [];
      let at = 0;
      for (let place = 0; place < count; place++) {
        this.places.set(text.substring(at, at + lengths[place]), place);
        this.tokens.push(all.subarray(at, at + lengths[place]));
        at += lengths[place];
      }
      this.merges = null; // (left place, right place) as one number → rank
      this.made = null; // rank → place
      if (packed.merges) this.readMerges(reader, text, lengths);
    }

    /** A merge is stored as the token that it makes and the length of its left side. */
    readMerges(reader, text, lengths) {
      const starts = [];
      let start = 0;
      for (const length of lengths) {
        starts.push(start);
        start += length;
      }
      const count = reader.number();
      let place = 0;
      this.made = Array.from({ length: count }, () => (place += reader.signed()));
      this.merges = new Map();
      for (let rank = 0; rank < count; rank++) {
        const result = this.made[rank];
        const middle = starts[result] + reader.number();
        const left = this.places.get(text.substring(starts[result], middle));
        const right = this.places.get(text.substring(middle, starts[result] + lengths[result]));
        this.merges.set(left * lengths.length + right, rank);
      }
    }

    /**
     * The tokens of a text, as places in `tokens` and `ids`. A lone surrogate becomes U+FFFD, as with bbpe's
     * errors="replace". Throws MissingByte where a byte has no token.
     */
    encode(text) {
      let sound = new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
      if (this.normalizer) sound = sound.normalize(this.normalizer);
      const bytes = new TextEncoder().encode(sound);
      const points = Uint32Array.from(sound, (character) => character.codePointAt(0));
      const raw = binary(bytes);
      const found = [];
      let point = 0;
      let begin = 0; // in bytes
      for (const past of this.pattern.ends(points)) {
        let end = begin;
        for (; point < past; point++) {
          const code = points[point];
          end += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        }
        for (const place of this.encodePretoken(raw.substring(begin, end))) found.push(place);
        begin = end;
      }
      return found;
    }

    encodePretoken(pretoken) {
      const known = this.cache.get(pretoken);
      if (known !== undefined) return known;
      const whole = this.wholePretoken ? this.places.get(pretoken) : undefined;
      const found = whole !== undefined ? [whole] : this.merged(pretoken);
      if (this.cache.size >= CACHED) this.cache.clear();
      this.cache.set(pretoken, found);
      return found;
    }

    /** The merge of the parts [start, middle) and [middle, end), as its rank; -1 if there is none. */
    rank(pretoken, start, middle, end) {
      if (end - start > this.longest) return -1;
      if (this.merges === null) return this.places.get(pretoken.substring(start, end)) ?? -1;
      const left = this.places.get(pretoken.substring(start, middle));
      const right = this.places.get(pretoken.substring(middle, end));
      if (left === undefined || right === undefined) return -1;
      return this.merges.get(left * this.ids.length + right) ?? -1;
    }

    /** Apply the merges, lowest rank first and of equal ranks the leftmost, until none applies. */
    merged(pretoken) {
      const length = pretoken.length;
      // A part is named by where it starts; it ends where the next one starts.
      const ends = Int32Array.from({ length }, (_, at) => at + 1);
      const before = Int32Array.from({ length }, (_, at) => at - 1);
      const ranks = new Int32Array(length).fill(-1); // of the pair that begins here; an entry in the heap that differs is stale
      const heap = new Heap();
      const look = (start) => {
        const middle = ends[start];
        ranks[start] = middle < length ? this.rank(pretoken, start, middle, ends[middle]) : -1;
        if (ranks[start] >= 0) heap.push(ranks[start] * POSITIONS + start);
      };
      for (let at = 0; at < length; at++) look(at);
      while (heap.items.length) {
        const item = heap.pop();
        const rank = Math.floor(item / POSITIONS);
        const start = item - rank * POSITIONS;
        if (ranks[start] !== rank) continue;
        const middle = ends[start];
        ends[start] = ends[middle];
        ranks[middle] = -1;
        if (ends[start] < length) before[ends[start]] = start;
        look(start);
        if (before[start] >= 0) look(before[start]);
      }
      const found = [];
      for (let start = 0; start < length; start = ends[start]) {
        const place = this.places.get(pretoken.substring(start, ends[start]));
        if (place === undefined) throw new MissingByte(pretoken.charCodeAt(start));
        found.push(place);
      }
      return found;
    }
  }

  /** Unpacks what livebox.packed made; vocabularies one after another, so that the page stays alive. */
  async function* unpacked(packed) {
    const patterns = new Map();
    for (const entry of packed.vocabularies) {
      if (!patterns.has(entry.pattern)) {
        patterns.set(entry.pattern, new Pattern(await inflated(packed.patterns[entry.pattern])));
      }
      yield new Vocabulary(entry, await inflated(entry.blob), patterns.get(entry.pattern));
    }
  }

  return { unpacked, Vocabulary, MissingByte };
})();
