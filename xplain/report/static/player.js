"use strict";
// The player: one clock over several versions of one sound, and a timeline that follows it.

const FADE = 0.008; // seconds in which one version takes over from another

/** Plays versions of one sound; switching goes on at the same position, to the sample. */
class Transport extends EventTarget {
  /** versions: {name: base64 of an audio file}, of `duration` seconds at `rate` Hz each. */
  constructor(versions, rate, duration) {
    super();
    Object.assign(this, { versions, rate, duration, buffers: {}, playing: false, speed: 1, loop: null });
    this.version = Object.keys(versions)[0];
    this.offset = 0; // position, in seconds of the sound, at the moment `since` of the clock
  }

  /** The decoded audio of a version, decoded once. */
  buffer(name) {
    return (this.buffers[name] ??= new OfflineAudioContext(1, 1, this.rate).decodeAudioData(bytes(this.versions[name]).buffer));
  }

  get time() {
    if (!this.playing) return this.offset;
    return this.at(this.offset + (this.context.currentTime - this.since) * this.speed);
  }

  /** A position as looping and the end leave it. */
  at(position) {
    if (this.loop && position >= this.loop[1]) {
      const [start, end] = this.loop;
      return start + ((position - start) % (end - start));
    }
    return Math.min(position, this.duration);
  }

  async play() {
    this.context ??= new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
    await this.context.resume();
    if (this.loop && (this.offset < this.loop[0] || this.offset >= this.loop[1])) this.offset = this.loop[0];
    if (this.offset >= this.duration - 1e-3) this.offset = this.loop ? this.loop[0] : 0;
    await this.start();
    for (const name of Object.keys(this.versions)) this.buffer(name).catch(() => {}); // so that switching need not wait
  }

  /** Start the current version where the clock is; the one that played fades out. */
  async start() {
    const request = (this.request = {});
    const buffer = await this.buffer(this.version);
    if (this.request !== request) return; // another was asked for meanwhile
    const now = this.context.currentTime, position = this.time;
    this.silence(now);
    const source = this.context.createBufferSource(), gain = this.context.createGain();
    source.buffer = buffer;
    source.playbackRate.value = this.speed;
    if (this.loop) [source.loop, source.loopStart, source.loopEnd] = [true, ...this.loop];
    gain.gain.setValueAtTime(0, now);
    gain.gain.linearRampToValueAtTime(1, now + FADE);
    source.connect(gain).connect(this.context.destination);
    source.onended = () => { if (this.source === source) this.stop(this.duration); };
    source.start(now, position);
    Object.assign(this, { source, gain, since: now, offset: position, playing: true });
    this.changed();
  }

  silence(now) {
    if (!this.source) return;
    this.source.onended = null;
    this.gain.gain.setValueAtTime(1, now);
    this.gain.gain.linearRampToValueAtTime(0, now + FADE);
    this.source.stop(now + FADE);
    this.source = null;
  }

  pause() { this.stop(this.time); }

  stop(position) {
    this.request = null;
    if (this.context) this.silence(this.context.currentTime);
    Object.assign(this, { playing: false, offset: position });
    this.changed();
  }

  toggle() { return this.playing ? this.pause() : this.play(); }

  seek(position) {
    const to = Math.min(Math.max(0, position), this.duration);
    this.jump(() => { this.offset = to; this.since = this.context?.currentTime; });
  }

  select(version) { this.jump(() => { this.version = version; }, true); }

  setSpeed(speed) { this.jump(() => { this.speed = speed; }, true); }

  /** Repeat a span [start, end] in seconds; null: play on to the end. */
  setLoop(span) { this.jump(() => { this.loop = span; }, true); }

  /** Change something; where sound is playing, it goes on with the change. */
  jump(change, keep = false) {
    if (keep && this.playing) [this.offset, this.since] = [this.time, this.context.currentTime];
    change();
    if (this.playing) this.start();
    this.changed();
  }

  changed() { this.dispatchEvent(new Event("change")); }
}

const DELAY = 0.05; // seconds, half of what a filter of bands needs to be sharp: about 55 Hz

/** Impulse response, of DELAY, that passes bands {low, high} in Hz, or all but these. */
function bandFilter(bands, rate, without) {
  const half = Math.round(DELAY * rate), response = new Float32Array(2 * half + 1), joined = [];
  for (const { low, high } of [...bands].sort((a, b) => a.low - b.low)) {
    if (joined.length && low <= joined.at(-1)[1]) joined.at(-1)[1] = Math.max(high, joined.at(-1)[1]);
    else joined.push([low, high]);
  }
  for (let n = -half; n <= half; n++) {
    const window = 0.42 + 0.5 * Math.cos((Math.PI * n) / half) + 0.08 * Math.cos((2 * Math.PI * n) / half); // Blackman
    for (const edges of joined) {
      const [low, high] = edges.map((hertz) => Math.min(1, (2 * hertz) / rate));
      response[half + n] += window * (n ? (Math.sin(Math.PI * high * n) - Math.sin(Math.PI * low * n)) / (Math.PI * n) : high - low);
    }
  }
  if (without) { response.forEach((value, i) => { response[i] = -value; }); response[half] += 1; }
  return response;
}

/** What FileTransport calls of an audio element, over samples that are all in memory. */
class DecodedAudio extends EventTarget {
  constructor(blob) {
    super();
    const context = new AudioContext();
    Object.assign(this, { src: "decoded", context, output: context.createGain(), offset: 0, rate: 1, source: null });
    this.output.connect(context.destination);
    this.buffer = blob.arrayBuffer().then((data) => context.decodeAudioData(data));
  }
  get paused() { return !this.source; }
  get currentTime() { return this.source ? Math.min(this.source.buffer.duration, this.offset + (this.context.currentTime - this.since) * this.rate) : this.offset; }
  set currentTime(second) { this.jump(() => { this.offset = second; }, "seeked"); }
  set playbackRate(rate) { this.jump(() => { this.offset = this.currentTime; this.rate = rate; }, "ratechange"); }
  jump(change, name) {
    const { paused } = this;
    change();
    this.stop();
    if (!paused) this.play();
    this.dispatchEvent(new Event(name));
  }
  async play() {
    const request = (this.request = {}), buffer = await this.buffer;
    await this.context.resume();
    if (this.request !== request || this.source) return; // stopped meanwhile, or played from elsewhere
    this.source = new AudioBufferSourceNode(this.context, { buffer, playbackRate: this.rate });
    this.source.connect(this.output);
    this.source.onended = () => { this.offset = buffer.duration; this.stop(); this.dispatchEvent(new Event("ended")); };
    this.since = this.context.currentTime;
    this.source.start(0, this.offset);
    this.dispatchEvent(new Event("play"));
  }
  pause() { this.offset = this.currentTime; this.stop(); this.dispatchEvent(new Event("pause")); }
  stop() {
    this.request = null;
    if (!this.source) return;
    this.source.onended = null;
    this.source.stop();
    this.source = null;
  }
}

/** Plays a file of any length from a Blob, with the same calls as Transport. */
class FileTransport extends EventTarget {
  constructor(blob, duration) {
    super();
    this.duration = duration;
    this.loop = null;
    this.until = null;
    this.filtered = null; // {bands, without, start, end}: of which frequencies what is heard between
    this.use(new Audio());
    if (blob) this.open(blob);
  }

  /** Take an audio element, or what has its calls. */
  use(audio) {
    this.audio = audio;
    for (const name of ["play", "pause", "seeked", "ended", "ratechange"]) {
      audio.addEventListener(name, () => this.dispatchEvent(new Event("change")));
    }
  }

  /** Play a file; where the policy of the frame bars media, as in VS Code's notebooks, decoded at once. */
  open(blob) {
    this.audio.src = URL.createObjectURL(blob);
    this.audio.preservesPitch = true;
    this.audio.onerror = () => { this.use(new DecodedAudio(blob)); this.dispatchEvent(new Event("change")); };
  }

  get ready() { return Boolean(this.audio.src); }
  get playing() { return !this.audio.paused; }
  get time() {
    const now = this.audio.currentTime;
    if (this.loop && this.playing && now >= this.loop[1]) this.audio.currentTime = this.loop[0];
    if (this.until !== null && now >= this.until) { this.until = null; this.audio.pause(); }
    this.mix(now);
    return this.audio.currentTime;
  }
  play() { this.context?.resume(); if (this.ready) return this.audio.play(); }
  pause() { this.until = null; this.audio.pause(); }
  toggle() { return this.playing ? this.pause() : this.play(); }
  seek(position) { this.until = null; this.filter(null); this.move(position); }
  move(position) { if (this.ready) this.audio.currentTime = Math.min(Math.max(0, position), this.duration); }
  setSpeed(speed) { this.audio.playbackRate = speed; }
  setLoop(span) { this.loop = span; if (span && this.playing) this.audio.currentTime = span[0]; }

  /** Play from start to end, in seconds, and stop there; filtered: as filter() takes it. */
  span(start, end, filtered = null) {
    this.filter(filtered);
    this.move(start);
    this.until = end + (filtered ? DELAY : 0);
    this.play();
  }

  /** Between two seconds, play only some bands, or all but these: {bands, without, start, end}; null: all. */
  filter(filtered) {
    this.filtered = filtered;
    if (filtered && !this.context) {
      const context = (this.context = this.audio.context ?? new AudioContext()), source = this.audio.output ?? context.createMediaElementSource(this.audio);
      if (this.audio.output) source.disconnect();
      const delay = context.createDelay(1);
      delay.delayTime.value = DELAY; // of the filter, so that both are at the same moment
      Object.assign(this, { dry: context.createGain(), wet: context.createGain(), convolver: new ConvolverNode(context, { disableNormalization: true }), output: context.createGain() });
      source.connect(delay).connect(this.dry).connect(this.output);
      source.connect(this.convolver).connect(this.wet).connect(this.output).connect(context.destination);
    }
    if (filtered) {
      const response = bandFilter(filtered.bands, this.context.sampleRate, filtered.without);
      const buffer = new AudioBuffer({ length: response.length, sampleRate: this.context.sampleRate });
      buffer.copyToChannel(response, 0);
      this.convolver.buffer = buffer;
    }
    this.mix(this.audio.currentTime);
  }

  mix(now) {
    if (!this.context) return;
    const { filtered } = this, at = now - DELAY;
    const inside = Number(Boolean(filtered) && at >= filtered.start - DELAY && at < filtered.end);
    if (inside === this.inside) return;
    this.inside = inside;
    this.wet.gain.setTargetAtTime(inside, this.context.currentTime, FADE / 3);
    this.dry.gain.setTargetAtTime(1 - inside, this.context.currentTime, FADE / 3);
  }
}

// --- spectrograms ---------------------------------------------------------------------------

/** Magnitudes of a real signal's Fourier transform, in place; the length is a power of two. */
function fft(real, imaginary) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { const swap = real[i]; real[i] = real[j]; real[j] = swap; }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const half = size >> 1, step = (-2 * Math.PI) / size;
    for (let k = 0; k < half; k++) {
      const c = Math.cos(step * k), s = Math.sin(step * k);
      for (let i = k; i < n; i += size) {
        const j = i + half;
        const re = real[j] * c - imaginary[j] * s, im = real[j] * s + imaginary[j] * c;
        real[j] = real[i] - re; imaginary[j] = imaginary[i] - im;
        real[i] += re; imaginary[i] += im;
      }
    }
  }
}

const WINDOW = 0.032, RANGE = 60; // seconds; dB from the loudest point of the original to nothing

/** Levels over time and frequency: dB relative to a full-scale sine, column by column. */
function spectrogram(samples, rate) {
  let size = 32;
  while (size < WINDOW * rate) size <<= 1;
  const width = Math.max(4, Math.round(WINDOW * rate));
  const hop = Math.max(1, Math.round(Math.min(WINDOW / 4, Math.max(0.001, samples.length / rate / 1500)) * rate));
  const columns = Math.max(1, Math.ceil(samples.length / hop)), rows = size / 2 + 1;
  const hann = Float64Array.from({ length: width }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / width));
  const scale = 2 / hann.reduce((a, b) => a + b), decibels = new Float32Array(columns * rows);
  const real = new Float64Array(size), imaginary = new Float64Array(size);
  for (let column = 0; column < columns; column++) {
    const first = column * hop - (width >> 1);
    real.fill(0); imaginary.fill(0);
    for (let i = 0; i < width; i++) real[i] = (samples[first + i] ?? 0) * hann[i];
    fft(real, imaginary);
    for (let row = 0; row < rows; row++) {
      decibels[column * rows + row] = 20 * Math.log10(Math.max(1e-9, Math.hypot(real[row], imaginary[row]) * scale));
    }
  }
  return { columns, rows, decibels, step: hop / rate, top: (rows * rate) / size };
}

/** A picture of a spectrogram: the page's ink, the more opaque the louder; faint sound is fainter. */
function paintLevels({ columns, rows, decibels }, loudest) {
  const canvas = new OffscreenCanvas(columns, rows), context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows), ink = rgb("ink");
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const place = 4 * ((rows - 1 - row) * columns + column);
      image.data.set(ink, place);
      image.data[place + 3] = 255 * Math.min(1, Math.max(0, 1 + (decibels[column * rows + row] - loudest) / RANGE)) ** 1.5;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** A picture of signed values, int8 (rows × columns) with row 0 at the bottom. */
function paintSigned(values, rows, columns, shown, canvas = new OffscreenCanvas(columns, rows)) {
  const context = canvas.getContext("2d", { willReadFrequently: true }); // in memory: small ones are many
  const image = context.createImageData(columns, rows), signs = { for: rgb("for"), against: rgb("against") };
  for (let i = 0; i < values.length; i++) {
    const place = 4 * ((rows - 1 - Math.floor(i / columns)) * columns + (i % columns));
    const sign = values[i] > 0 ? "for" : "against";
    image.data.set(signs[sign], place);
    image.data[place + 3] = shown[sign] ? 255 * (Math.abs(values[i]) / 127) ** 0.7 : 0; // so that small ones are seen
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// --- the timeline ---------------------------------------------------------------------------

const GUTTER = 52; // pixels for the axes' numbers
const FONT = "12px Inter, system-ui, sans-serif";

/** Lanes over one axis of time, with a play head, a selected region, zoom and a scroll bar. */
class Timeline {
  /**
   * lanes: {height, label(): text, draw(context, place)}; place has x(seconds), seconds(x), left,
   * width, height, start, end. transport: has time, duration, seek, setLoop. ruler: seconds → text.
   */
  constructor(transport, lanes, { ruler = (s) => clock(s, 0), select = () => {}, click = null } = {}) {
    Object.assign(this, { transport, lanes, ruler, onselect: select, onclick: click });
    this.start = 0; this.end = transport.duration; this.region = null;
    this.playhead = h("div", { class: "playhead" });
    this.marked = h("div", { class: "region", hidden: true });
    this.canvases = lanes.map((lane) => h("canvas", { role: "img", "aria-label": () => lane.label(), style: { height: `${lane.height}px` } }));
    this.bar = h("input", { type: "range", class: "pan", min: 0, max: 1000, value: 0, "aria-label": () => t("scroll"),
      oninput: (e) => this.show((e.target.value / 1000) * (transport.duration - this.span), this.span) });
    this.stage = h("div", { class: "stage" }, this.canvases, this.marked, this.playhead);
    this.node = h("div", { class: "timeline" }, this.stage, this.bar);
    this.stage.addEventListener("pointerdown", (e) => this.press(e));
    this.stage.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    new ResizeObserver(() => this.draw()).observe(this.stage);
    transport.addEventListener("change", () => this.tick());
    this.show(0, transport.duration);
  }

  get span() { return this.end - this.start; }

  place(height = 0) {
    const width = Math.max(1, this.stage.clientWidth - GUTTER);
    return { left: GUTTER, width, height, start: this.start, end: this.end,
      x: (seconds) => GUTTER + ((seconds - this.start) / this.span) * width,
      seconds: (x) => this.start + ((x - GUTTER) / width) * this.span };
  }

  /** Show `span` seconds from `start`. */
  show(start, span) {
    const all = this.transport.duration;
    const shown = Math.min(all, Math.max(span, Math.min(all, 0.02)));
    this.start = Math.min(Math.max(0, start), all - shown);
    this.end = this.start + shown;
    this.bar.hidden = shown >= all;
    this.bar.value = all > shown ? (1000 * this.start) / (all - shown) : 0;
    this.draw();
  }

  /** Zoom in (factor < 1) or out around a moment; by default the play head, where it is seen. */
  zoom(factor, around = null) {
    const now = this.transport.time;
    const centre = around ?? (now >= this.start && now <= this.end ? now : (this.start + this.end) / 2);
    const span = Math.min(this.transport.duration, this.span * factor);
    this.show(centre - ((centre - this.start) / this.span) * span, span);
  }

  setRegion(region) {
    this.region = region;
    this.onselect(region);
    this.tick();
  }

  press(event) {
    if (event.button !== 0) return;
    const rectangle = this.stage.getBoundingClientRect(), place = this.place();
    const second = (e) => Math.min(this.transport.duration, Math.max(0, place.seconds(e.clientX - rectangle.left)));
    const from = second(event), x = event.clientX;
    let dragged = false;
    const move = (e) => {
      dragged ||= Math.abs(e.clientX - x) > 5;
      if (dragged) { this.region = [Math.min(from, second(e)), Math.max(from, second(e))]; this.tick(); }
    };
    const up = (e) => {
      this.stage.removeEventListener("pointermove", move);
      if (dragged && e.type === "pointerup") this.setRegion(this.region);
      else if (e.type === "pointerup") {
        this.transport.seek(from);
        this.onclick?.(from, e.clientY - rectangle.top);
      }
    };
    this.stage.setPointerCapture(event.pointerId);
    this.stage.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) this.stage.addEventListener(name, up, { once: true });
  }

  wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(2 ** (event.deltaY / 200), this.place().seconds(event.clientX - this.stage.getBoundingClientRect().left));
    } else if ((event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) && !this.bar.hidden) {
      event.preventDefault();
      this.show(this.start + ((event.deltaX || event.deltaY) / this.place().width) * this.span, this.span);
    }
  }

  /** Draw soon; several calls before the next frame are one. */
  draw() {
    this.pending ??= requestAnimationFrame(() => { this.pending = null; this.paint(); });
  }

  paint() {
    const scale = devicePixelRatio || 1, width = this.stage.clientWidth;
    this.lanes.forEach((lane, number) => {
      const canvas = this.canvases[number];
      const size = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(lane.height * scale))];
      if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
      const context = canvas.getContext("2d");
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, width, lane.height);
      context.font = FONT;
      lane.draw(context, this.place(lane.height));
    });
    this.tick();
  }

  /** Put the play head and the region where they are; while sound plays, again with each frame. */
  tick() {
    const { transport } = this, now = transport.time, place = this.place();
    if (transport.playing && (now > this.end || now < this.start) && this.span < transport.duration) this.show(now - this.span * 0.1, this.span);
    this.playhead.hidden = now < this.start || now > this.end;
    this.playhead.style.transform = `translateX(${place.x(now)}px)`;
    this.marked.hidden = !this.region;
    if (this.region) {
      const [left, right] = this.region.map((s) => Math.min(GUTTER + place.width, Math.max(GUTTER, place.x(s))));
      this.marked.style.transform = `translateX(${left}px)`;
      this.marked.style.width = `${right - left}px`;
    }
    this.ontick?.(now);
    if (transport.playing) this.ticking ??= requestAnimationFrame(() => { this.ticking = null; this.tick(); });
  }
}

/** Round steps (1, 2, 5 × 10ⁿ; of time also 15 and 30 s) of which about `count` fit into `range`. */
function steps(range, count, time = false) {
  const raw = range / count;
  const clocks = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  if (time && raw > 0.7) return clocks.find((step) => step >= raw) ?? 21600;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= raw * 0.999);
}

/** The axis of time of a recording of `total` seconds; clip: the moment that a place on it is of. */
function rulerLane(total, clip = (second) => second) {
  const name = (second, digits) => (total < 60 ? number(clip(second), digits) : clock(clip(second), digits));
  return { height: 22, label: () => t("ruler"), draw(context, place) {
    const step = steps(place.end - place.start, place.width / 90, true);
    context.fillStyle = colour("soft");
    context.fillText(total < 60 ? "s" : total < 3600 ? "min:s" : "h:min:s", 0, 16);
    for (let second = Math.ceil(place.start / step) * step; second <= place.end + 1e-9; second += step) {
      const x = place.x(second), text = name(second, Math.max(0, Math.min(3, -Math.floor(Math.log10(step) + 1e-9))));
      context.fillRect(x, 0, 1, 5);
      const wide = context.measureText(text).width;
      context.fillText(text, Math.min(x + 3, place.left + place.width - wide), 16);
    }
  } };
}

/** Numbers of an axis in the gutter: `value` at the height y(value). */
function gutterNumbers(context, values, y, text) {
  context.fillStyle = colour("soft");
  context.textAlign = "right";
  context.textBaseline = "middle";
  const lowest = context.canvas.height / (devicePixelRatio || 1) - 6; // none is cut off
  for (const value of values) {
    context.fillText(text(value), GUTTER - 7, Math.min(lowest, Math.max(7, y(value))));
    context.fillRect(GUTTER - 4, Math.round(y(value)), 4, 1);
  }
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
}

/** Bars with names, as words, groups or segments lie in time. items: {label, start, end, kind}. */
function barsLane(name, items, height = 26) {
  return { height, items, label: () => `${name}: ${items.map((item) => item.label).join(", ")}`, draw(context, place) {
    context.fillStyle = colour("soft");
    context.fillText(fitted(context, name, GUTTER - 6), 0, height / 2 + 4);
    for (const item of items) {
      if (item.end < place.start || item.start > place.end) continue;
      const left = Math.max(place.left, place.x(item.start)), right = Math.min(place.left + place.width, place.x(item.end));
      const width = Math.max(1.5, right - left - 1), shade = item.kind ?? "for";
      context.globalAlpha = 0.2 + 0.6 * (item.weight ?? 0);
      context.fillStyle = colour(shade);
      context.fillRect(left, 2, width, height - 4);
      context.globalAlpha = 1;
      if (shade === "against") { // by its shape too, not by its colour alone
        context.fillRect(left, height - 4, width, 2);
      } else context.fillRect(left, 2, width, 2);
      if (width > 24) { context.fillStyle = colour("ink"); context.fillText(fitted(context, item.label, width - 10), left + 5, height / 2 + 4); }
    }
  } };
}

function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let shown = text.slice(0, 60);
  while (shown && context.measureText(`${shown}…`).width > width) shown = shown.slice(0, -1);
  return shown ? `${shown}…` : "";
}

/** Play, clock, position and speed, the controls that both kinds of player have. */
function transportControls(transport, timeline, name) {
  const button = h("button", { type: "button", class: "play", onclick: () => transport.toggle(), "aria-keyshortcuts": "Space" },
    h("span", { "aria-hidden": "true" }, () => (transport.playing ? "❚❚" : "▶")), " ", () => t(transport.playing ? "pause" : "play"));
  const now = h("span", { class: "clock" });
  const position = h("input", { type: "range", class: "position", min: 0, max: transport.duration, step: "any", value: 0,
    "aria-label": () => t("position"), oninput: (e) => transport.seek(Number(e.target.value)) });
  const speed = h("select", { "aria-label": () => t("speed"), onchange: (e) => transport.setSpeed(Number(e.target.value)) },
    [0.25, 0.5, 0.75, 1, 1.5, 2].map((x) => h("option", { value: x, selected: x === 1 }, () => `${number(x, x % 1 ? 2 : 0)}×`)));
  timeline.ontick = (second) => {
    now.textContent = `${name(second)} / ${name(transport.duration)}`;
    position.value = second;
    position.setAttribute("aria-valuetext", name(second));
  };
  return { button, now, position, speed };
}

function zoomControls(timeline, repeat = null) {
  return h("div", { class: "group", role: "group", "aria-label": () => t("view") },
    h("button", { type: "button", onclick: () => timeline.zoom(2), "aria-label": () => t("zoom_out") }, "−"),
    h("button", { type: "button", onclick: () => timeline.zoom(0.5), "aria-label": () => t("zoom_in") }, "+"),
    h("button", { type: "button", onclick: () => timeline.show(0, timeline.transport.duration) }, () => t("whole")), repeat);
}

/** Keys of a player: space, arrows, plus and minus, and more by their names. */
function keys(transport, timeline, more = {}) {
  const actions = {
    " ": () => transport.toggle(),
    ArrowLeft: () => transport.seek(transport.time - timeline.span / 20),
    ArrowRight: () => transport.seek(transport.time + timeline.span / 20),
    Home: () => transport.seek(0), "+": () => timeline.zoom(0.5), "=": () => timeline.zoom(0.5), "-": () => timeline.zoom(2),
    Escape: () => timeline.setRegion(null), ...more,
  };
  document.addEventListener("keydown", (event) => {
    const { target } = event, typed = target.matches("input:not([type=range]):not([type=checkbox]), select, textarea");
    const own = target.matches("button, summary, a, input") && [" ", "Enter"].includes(event.key);
    const slid = target.matches("input[type=range]") && event.key.startsWith("Arrow");
    if (typed || own || slid || event.ctrlKey || event.metaKey || event.altKey || !(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
}
