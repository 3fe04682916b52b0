// Small helpers. Text out of the trace gets into the page as text nodes only.
const root = document.documentElement;
const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

// el makes an element. Attributes whose value is false, null or undefined are left out.
function el(tag, attrs = {}, ...kids) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (name.startsWith('on')) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, '');
    else if (value !== false && value != null) e.setAttribute(name, value);
  }
  e.append(...kids.filter((k) => k != null));
  return e;
}

const page = JSON.parse($('#page').textContent);

// T is a text of the page, with {0}, {1}, … filled in.
const T = (key, ...args) => page.words[key].replace(/\{(\d)\}/g, (_, i) => args[i]);

const whole = new Intl.NumberFormat(page.lang === 'zh' ? 'zh-CN' : 'en-US');

// bytes of a block's base64.
function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const bin = atob(text);
  const bytes = new Uint8Array(bin.length);
  for (let i = 0; i < bin.length; i++) bytes[i] = bin.charCodeAt(i);
  return bytes;
}

// unpack returns what is in a block of data.
function unpack(id) {
  const packed = fromBase64(document.getElementById(id).textContent);
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip')));
}

// millis are nanoseconds in milliseconds with three decimals, as the timeline has them.
const millis = (ns) => (Math.round(ns / 1000) / 1000).toFixed(3);

// span is a measured time in a unit that suits it.
function span(ns) {
  const a = Math.abs(ns);
  if (a < 1e3) return `${ns} ns`;
  if (a < 1e6) return `${trim(ns / 1e3)} µs`;
  if (a < 1e9) return `${trim(ns / 1e6)} ms`;
  return `${trim(ns / 1e9)} s`;
}

const trim = (x) => x.toFixed(3).replace(/\.?0+$/, '');

// rest lets the browser draw and handle input before what follows.
const rest = () => new Promise((done) => { requestAnimationFrame(() => setTimeout(done)); });

// Pace lets work rest where it has gone on for longer than a frame or two.
class Pace {
  constructor() { this.begun = performance.now(); }

  async rest() {
    if (performance.now() - this.begun < 24) return;
    await rest();
    this.begun = performance.now();
  }
}

// onFrame returns a function that calls f once before the next frame, however often it is
// called itself.
function onFrame(f) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; f(); });
  };
}
