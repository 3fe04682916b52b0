// Pictures shows those of one connection, a tab each. A picture comes as an svg element in
// text, drawn and escaped when the report was made. A tall one comes in pieces with the
// heights that they span, and only those on the screen are put into it.
const band = 400; // units of a tall picture whose pieces come and go together

class Pictures {
  constructor(box, tabs, pick) {
    this.box = box;
    this.tabs = tabs;
    this.drawn = new Map();
    this.kind = null;
    this.numbers = [];
    box.addEventListener('click', (e) => {
      const n = nearest(box, e.clientX, e.clientY);
      if (n) pick(n);
    });
    const draw = onFrame(() => this.tall?.draw());
    box.addEventListener('scroll', draw);
    new ResizeObserver(draw).observe(box);
    tabs.addEventListener('keydown', (e) => this.keys(e));
  }

  // show takes the pictures of a connection, or of all: {pics: [{tab, id, tall, head}]}.
  show(set) {
    this.set = set;
    const kind = set.pics.some((p) => p.tab === this.kind) ? this.kind : set.pics[0]?.tab;
    this.tabs.replaceChildren(...set.pics.map((p) => el('button', {
      type: 'button', role: 'tab', id: `tab-${p.tab}`, 'data-tab': p.tab, 'aria-controls': 'pic', onclick: () => this.open(p.tab),
    }, page.tabs[p.tab])));
    if (kind) return this.open(kind, false);
    this.tall = null;
    this.box.replaceChildren(el('p', { class: 'wait' }, T('notDrawn')));
    return Promise.resolve();
  }

  async open(tab, remember = true) {
    if (remember) this.kind = tab;
    const pic = this.set.pics.find((p) => p.tab === tab);
    for (const b of $$('button', this.tabs)) {
      const on = b.dataset.tab === tab;
      b.setAttribute('aria-selected', on);
      b.tabIndex = on ? 0 : -1;
      if (on) this.box.setAttribute('aria-labelledby', b.id);
    }
    this.current = pic;
    if (!this.drawn.has(pic.id)) {
      const text = await unpack(pic.id).text();
      this.drawn.set(pic.id, pic.tall ? await Tall.of(text, pic.head) : { svgs: svgs(text) });
    }
    if (this.current !== pic) return; // another was asked for meanwhile
    const drawing = this.drawn.get(pic.id);
    const figure = el('figure', { 'data-pic': pic.id }, ...drawing.svgs);
    this.tall = pic.tall ? drawing.into(this.box, () => this.light()) : null;
    this.box.replaceChildren(figure);
    this.box.scrollTop = 0;
    this.tall?.draw();
    this.light(true);
  }

  keys(e) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!step) return;
    const all = $$('button', this.tabs);
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    next.focus();
    next.click();
    e.preventDefault();
    e.stopPropagation();
  }

  // mark shows as picked the first of the events with those numbers that has a shape, and
  // scrolls to it.
  mark(numbers) {
    this.numbers = numbers;
    this.light(true);
  }

  light(reveal = false) {
    for (const old of $$('.marker', this.box)) old.remove();
    if (reveal) this.tall?.reveal(this.numbers.find((n) => this.tall.tops.has(n)));
    const found = this.numbers.map((n) => $$(`[data-n="${n}"]`, this.box)).find((shapes) => shapes.length) ?? [];
    for (const s of found.slice(0, 40)) marker(s);
    if (reveal && found.length && !this.tall) scrollTo(this.box, found[0].getBoundingClientRect());
  }

  // print draws all of a tall picture, up to a limit, for paper; unprint undoes that.
  print(limit) {
    this.tall?.draw(limit);
    if (this.tall) this.tall.printed = true;
  }

  unprint() {
    if (this.tall) this.tall.printed = false;
    this.tall?.draw();
  }
}

// nearest returns the number of the event whose shape is at a place of the screen or, lines
// being thin, a few pixels from it; 0 where there is none.
function nearest(box, x, y) {
  for (const far of [0, 3, 6, 9]) {
    for (const [dx, dy] of [[0, -far], [0, far], [-far, 0], [far, 0]]) {
      const shape = document.elementFromPoint(x + dx, y + dy)?.closest('[data-n]');
      if (shape && box.contains(shape)) return Number(shape.dataset.n);
    }
  }
  return 0;
}

// svgs makes the elements of pictures.
function svgs(text) {
  const holder = document.createElement('template');
  holder.innerHTML = text;
  return [...holder.content.children];
}

// marker lays a patch of the palette's colour for what is picked behind a shape.
function marker(shape) {
  const svg = shape.ownerSVGElement;
  const at = shape.getBBox();
  const patch = document.createElementNS(svg.namespaceURI, 'rect');
  const box = { class: 'mark marker', x: at.x - 4, y: at.y - 4, width: at.width + 8, height: at.height + 8, rx: 5 };
  for (const [name, value] of Object.entries(box)) patch.setAttribute(name, value);
  svg.insertBefore(patch, $('rect', svg)?.nextSibling ?? null); // the first is the background
}

// scrollTo scrolls box so that what is at that place of the screen is in its middle.
function scrollTo(box, place) {
  const view = box.getBoundingClientRect();
  if (place.top < view.top || place.bottom > view.bottom) box.scrollTop += (place.top + place.bottom - view.top - view.bottom) / 2;
  if (place.left < view.left || place.right > view.right) box.scrollLeft += (place.left + place.right - view.left - view.right) / 2;
}

// Tall is a picture in pieces. The first line is its svg element without them; each other
// line is a piece: the heights of its top and its end, and its shapes.
class Tall {
  static async of(text, head) {
    const [frame, ...lines] = text.split('\n');
    const tall = new Tall();
    [tall.svg] = svgs(frame);
    tall.head = head;
    tall.hold = $('g.pieces', tall.svg);
    const pace = new Pace();
    for (const line of lines) {
      tall.add(line);
      await pace.rest();
    }
    tall.svgs = [tall.stay(frame), tall.svg];
    return tall;
  }

  // stay makes the picture's head once more, over it, which stays where the rest scrolls.
  stay(frame) {
    const [svg] = svgs(frame);
    const { width } = svg.viewBox.baseVal;
    svg.setAttribute('viewBox', `0 0 ${width} ${this.head}`);
    svg.setAttribute('height', this.head);
    svg.setAttribute('aria-hidden', 'true');
    $('g.pieces', svg).innerHTML = this.heads.join('');
    return el('div', { class: 'stay' }, svg);
  }

  constructor() {
    this.pieces = [];
    this.bands = [];
    this.always = [];
    this.heads = [];
    this.tops = new Map(); // an event's height, by its number
  }

  // into takes the box that the picture is scrolled in, and what is to be done when pieces
  // have been put in.
  into(box, drawn) {
    this.box = box;
    this.drawn = drawn;
    this.from = -1;
    return this;
  }

  add(line) {
    const [top, end, shapes] = line.split('\t');
    if (shapes === undefined) return;
    const k = this.pieces.push(shapes) - 1;
    if (end <= this.head) this.heads.push(shapes);
    const first = Math.max(0, Math.floor(top / band));
    const last = Math.floor(end / band);
    if (last - first > 6) this.always.push(k);
    else for (let b = first; b <= last; b++) (this.bands[b] ??= []).push(k);
    for (const m of shapes.matchAll(/ data-n="(\d+)"/g)) if (!this.tops.has(Number(m[1]))) this.tops.set(Number(m[1]), (Number(top) + Number(end)) / 2);
  }

  // scale is how many pixels a unit of the picture has.
  scale() { return this.svg.getBoundingClientRect().height / this.svg.viewBox.baseVal.height || 1; }

  // draw puts in the pieces that are on the screen, and some around them; with a limit,
  // all down to that height.
  draw(limit = 0) {
    if (this.printed) return;
    const view = this.box.getBoundingClientRect();
    const pic = this.svg.getBoundingClientRect();
    const scale = this.scale();
    let from = Math.floor((view.top - pic.top) / scale / band) - 1;
    let to = Math.ceil((view.top - pic.top + this.box.clientHeight) / scale / band) + 1;
    if (limit) [from, to] = [0, Math.ceil(limit / band)];
    from = Math.max(0, from);
    if (from === this.from && to === this.to) return;
    [this.from, this.to] = [from, to];
    const want = new Set(this.always);
    for (let b = from; b <= to; b++) for (const k of this.bands[b] ?? []) want.add(k);
    this.hold.innerHTML = [...want].sort((a, b) => a - b).map((k) => this.pieces[k]).join('');
    this.drawn();
  }

  reveal(n) {
    const y = this.tops.get(n);
    if (y === undefined) return;
    const top = this.svg.getBoundingClientRect().top - this.box.getBoundingClientRect().top + y * this.scale();
    if (top < this.head * this.scale() + 20 || top > this.box.clientHeight - 30) this.box.scrollTop += top - this.box.clientHeight / 2;
    this.draw();
  }
}
