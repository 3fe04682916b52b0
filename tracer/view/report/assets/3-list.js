// List is the timeline: a listbox that has elements only for the rows on the screen.
const rowHeight = 22;

class List {
  constructor(box, events, pick) {
    this.box = box;
    this.pad = $('.pad', box);
    this.rows = $('.rows', box);
    this.events = events;
    this.shown = [];
    this.picked = -1;
    this.marks = new Map();
    const digits = String(events.n[events.count - 1] ?? 0).length;
    const time = millis(events.t[events.count - 1] ?? 0).length;
    const names = page.stacks.map((s) => s.length);
    const conns = events.conn.reduce((a, b) => Math.max(a, b), 0);
    this.box.parentElement.style.setProperty('--w-n', `${Math.max(3, digits)}ch`);
    this.box.parentElement.style.setProperty('--w-t', `${Math.max(7, time)}ch`);
    this.box.parentElement.style.setProperty('--w-s', `${Math.min(24, Math.max(5, ...names) + 1 + String(conns).length)}ch`);
    const draw = onFrame(() => this.draw());
    box.addEventListener('scroll', draw);
    new ResizeObserver(draw).observe(box);
    box.addEventListener('click', (e) => {
      // Not the target: the rows may have been made anew since the button went down.
      const row = document.elementFromPoint(e.clientX, e.clientY)?.closest('[data-i]');
      if (row) pick(Number(row.dataset.i));
    });
  }

  // show takes the places of the events to list.
  show(places) {
    this.shown = places;
    this.pad.style.height = `${places.length * rowHeight}px`;
    this.first = -1;
    this.draw();
  }

  // draw makes the rows that are on the screen, and some around them; all of them, for
  // paper, up to a limit.
  draw(all = 0) {
    if (this.printed) return;
    const height = this.box.clientHeight;
    const from = all ? 0 : Math.max(0, Math.floor(this.box.scrollTop / rowHeight) - 8);
    const to = all ? Math.min(this.shown.length, all) : Math.min(this.shown.length, from + Math.ceil(height / rowHeight) + 16);
    if (from === this.first && to === this.last) return;
    this.first = from;
    this.last = to;
    const rows = [];
    for (let k = from; k < to; k++) rows.push(this.row(k));
    if (!this.shown.length) rows.push(el('p', { class: 'none' }, T('nothing')));
    this.rows.replaceChildren(...rows);
    this.rows.style.transform = `translateY(${from * rowHeight}px)`;
    this.active();
  }

  redraw() {
    this.printed = false;
    this.first = -1;
    this.draw();
  }

  row(k) {
    const e = this.events;
    const i = this.shown[k];
    const name = page.stacks[e.stack[i]] + (e.conn[i] ? `.${e.conn[i]}` : '');
    const row = el('div', {
      class: `row ${this.marks.get(i) ?? ''}`, id: `row-${i}`, role: 'option', 'data-i': i, 'data-n': e.n[i],
      'aria-selected': i === this.picked ? 'true' : 'false', 'aria-posinset': k + 1, 'aria-setsize': this.shown.length,
    },
    el('span', { class: 'c-n' }, String(e.n[i])), el('span', { class: 'c-t' }, millis(e.t[i])),
    el('span', { class: 'c-s', title: name }, name), el('span', { class: 'c-e' }, ...e.styled(i)));
    if (e.state[i]) row.style.borderLeftColor = `var(--s-${e.state[i] - 1})`;
    if (i === this.picked) row.classList.add('on');
    return row;
  }

  // active tells those who listen which row is picked.
  active() {
    const row = document.getElementById(`row-${this.picked}`);
    if (row) this.box.setAttribute('aria-activedescendant', row.id);
    else this.box.removeAttribute('aria-activedescendant');
  }

  // mark shows the event at i as picked and what it is tied to; reveal scrolls to it.
  mark(i, marks, reveal) {
    this.picked = i;
    this.marks = marks;
    if (reveal) this.reveal(i);
    this.redraw();
  }

  // indexOf returns the row of the event at i, -1 where the filter leaves it out.
  indexOf(i) {
    let lo = 0;
    let hi = this.shown.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.shown[mid] < i) lo = mid + 1; else hi = mid;
    }
    return this.shown[lo] === i ? lo : -1;
  }

  reveal(i) {
    const k = this.indexOf(i);
    if (k < 0) return;
    const top = k * rowHeight;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop + rowHeight || top > scrollTop + clientHeight - 2 * rowHeight) {
      this.box.scrollTop = Math.max(0, top - clientHeight / 2);
    }
  }

  // step returns the place of the event that lies by that many rows from the picked one.
  step(by) {
    if (!this.shown.length) return -1;
    let k = this.indexOf(this.picked);
    if (k < 0) k = by > 0 ? -1 : this.shown.length;
    return this.shown[Math.min(this.shown.length - 1, Math.max(0, k + by))];
  }
}
