// App ties the parts together: what is picked in one shows in all.
class App {
  constructor(events) {
    const pick = (i) => this.pick(i);
    this.events = events;
    this.filter = { words: [], types: new Set(), stack: -1, row: null };
    this.list = new List($('#list'), events, (i) => { this.pick(i); });
    this.pictures = new Pictures($('#pic'), $('#tabs'), (n) => this.pick(events.at(n)));
    this.detail = new Detail($('#detail-in'), events, pick);
    this.picked = -1;
    this.filters();
    this.connections();
    this.keys();
    this.save();
    this.paper();
    this.apply();
  }

  // pick shows the event at i in the list, the pictures and the details.
  pick(i) {
    if (i < 0 || i >= this.events.count) return;
    this.picked = i;
    const e = this.events;
    const marks = new Map(e.effects(i).map((k) => [k, 'effect']));
    for (const k of this.detail.chain(i)) marks.set(k, 'cause');
    this.list.mark(i, marks, true);
    this.follow(e.conn[i]);
    // A call's return and a look at the variables are no shapes of their own: what they
    // follow from is.
    this.pictures.mark([e.n[i], e.cause[i]].filter(Boolean));
    this.detail.show(i);
    try { history.replaceState(null, '', `#${e.n[i]}`); } catch { /* a page that may not: no link then */ }
  }

  // follow turns to the pictures of a connection, where it has any.
  follow(conn) {
    const row = conn ? this.rowOf.get(conn) : undefined;
    if (row && row !== this.row && row.pics.pics.length) this.turn(row);
  }

  turn(row) {
    this.row = row;
    for (const r of this.table) {
      r.tr.classList.toggle('on', r === row);
      $('.pick', r.tr).setAttribute('aria-pressed', r === row);
    }
    return this.pictures.show(row.pics);
  }

  // connections makes the table's rows pick: their pictures, and the timeline filtered.
  connections() {
    this.rowOf = new Map();
    this.table = $$('#conns tbody tr').map((tr) => {
      const conns = tr.dataset.conns ? tr.dataset.conns.split(' ').map(Number) : [];
      const set = page.sets[tr.dataset.row] ?? { pics: [] };
      const more = tr.dataset.more ? tr.dataset.more.split(' ').map(Number) : [];
      const row = { tr, conns: new Set(conns), more: new Set(more), pics: set };
      for (const c of conns) if (!this.rowOf.has(c)) this.rowOf.set(c, row);
      tr.addEventListener('click', () => this.choose(row));
      return row;
    });
    const first = this.table.find((r) => r.conns.size && r.pics.pics.length) ?? this.table[0];
    if (first) this.turn(first);
    else this.pictures.show({ pics: [] });
  }

  // choose turns to a row's pictures and limits the timeline to its events.
  choose(row) {
    $('#conn').value = row.conns.size + row.more.size ? row.tr.dataset.row : '';
    this.turn(row);
    this.changed();
  }

  filters() {
    const e = this.events;
    const counts = new Array(page.types.length).fill(0);
    for (let i = 0; i < e.count; i++) counts[e.type[i]]++;
    $('#types').append(...page.types.map((name, k) => counts[k] && el('button', {
      type: 'button', 'aria-pressed': 'false', 'data-type': k,
      onclick: (click) => {
        const on = click.currentTarget.getAttribute('aria-pressed') !== 'true';
        click.currentTarget.setAttribute('aria-pressed', on);
        this.changed();
      },
    }, name, el('small', {}, whole.format(counts[k])))).filter(Boolean));
    $('#stack').append(...page.stacks.map((s, k) => el('option', { value: k }, s)));
    $('#conn').append(...page.conns.map((c) => el('option', { value: c.row }, c.name)));
    $('#find').addEventListener('input', () => this.changed());
    $('#stack').addEventListener('change', () => this.changed());
    $('#conn').addEventListener('change', () => {
      const row = this.table[Number($('#conn').value)];
      if ($('#conn').value !== '' && row !== this.row) this.turn(row);
      this.changed();
    });
    $('#filters').addEventListener('submit', (s) => { s.preventDefault(); this.list.box.focus(); });
    $('#clear').addEventListener('click', () => this.clear());
    this.changed = onFrame(() => { this.read(); this.apply(); });
  }

  // read takes the filter from the form.
  read() {
    this.filter = {
      words: $('#find').value.toLowerCase().split(/\s+/).filter(Boolean),
      types: new Set($$('#types [aria-pressed="true"]').map((b) => Number(b.dataset.type))),
      stack: $('#stack').value === '' ? -1 : Number($('#stack').value),
      row: $('#conn').value === '' ? null : this.table[Number($('#conn').value)],
    };
  }

  clear() {
    $('#filters').reset();
    for (const b of $$('#types button')) b.setAttribute('aria-pressed', 'false');
    this.changed();
  }

  // passes tells whether the filter lets the event at i through. Each word is in what it
  // tells or in its stack; "#41" is the event of that number.
  passes(i) {
    const { words, types, stack, row } = this.filter;
    const e = this.events;
    if (types.size && !types.has(e.type[i])) return false;
    if (stack >= 0 && e.stack[i] !== stack) return false;
    if (row && !row.conns.has(e.conn[i]) && !row.more.has(e.n[i])) return false;
    if (!words.length) return true;
    const story = `#${e.n[i]} ${page.stacks[e.stack[i]]}.${e.conn[i]} ${e.story(i)}`.toLowerCase();
    return words.every((w) => (/^#\d+$/.test(w) ? story.startsWith(`${w} `) : story.includes(w)));
  }

  apply() {
    const shown = [];
    for (let i = 0; i < this.events.count; i++) if (this.passes(i)) shown.push(i);
    const all = shown.length === this.events.count;
    $('#count').textContent = all ? T('countAll', whole.format(shown.length))
      : T('count', whole.format(shown.length), whole.format(this.events.count));
    $('#clear').disabled = all && !this.filter.words.length;
    this.list.show(shown);
    if (this.picked >= 0) this.list.reveal(this.picked);
    else this.list.box.scrollTop = 0;
  }

  keys() {
    document.addEventListener('keydown', (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey) return;
      const field = e.target.closest('input, select, textarea');
      if (e.key === 'Escape') {
        if (field || this.filter.words.length) this.clear();
        this.list.box.focus({ preventScroll: true });
        return;
      }
      if (field && !(e.target.id === 'find' && (e.key === 'ArrowDown' || e.key === 'ArrowUp'))) return;
      if (e.key === '/') {
        e.preventDefault();
        $('#find').focus();
        $('#find').select();
        return;
      }
      const page10 = Math.max(1, Math.floor(this.list.box.clientHeight / rowHeight) - 2);
      const by = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page10, PageUp: -page10, Home: -Infinity, End: Infinity }[e.key];
      const inList = e.target === this.list.box;
      if (!by || (Math.abs(by) > 1 && !inList)) return;
      e.preventDefault();
      this.step(by);
    });
    this.detail.step = (by) => this.step(by);
    addEventListener('hashchange', () => this.fromHash());
  }

  step(by) {
    const i = this.list.step(by);
    if (i >= 0) this.pick(i);
  }

  fromHash() {
    const m = /^#(\d+)$/.exec(location.hash);
    const i = m ? this.events.at(Number(m[1])) : -1;
    if (i >= 0 && i !== this.picked) this.pick(i);
  }

  // save hands the trace out as the JSONL that it is.
  save() {
    $('#save').addEventListener('click', async () => {
      const url = URL.createObjectURL(new Blob([await this.events.raw()], { type: 'application/jsonl' }));
      el('a', { href: url, download: `${page.file}.jsonl` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    });
  }

  // paper shows on paper what the screen would scroll to, up to a limit.
  paper() {
    addEventListener('beforeprint', () => {
      const { list, pictures } = this;
      list.redraw();
      list.draw(page.paper.rows);
      list.printed = true;
      const more = list.shown.length - page.paper.rows;
      if (more > 0) list.rows.append(el('p', { class: 'printed' }, T('notPrinted', whole.format(more))));
      pictures.print(page.paper.height);
    });
    addEventListener('afterprint', () => {
      this.list.redraw();
      this.pictures.unprint();
    });
  }
}

function theme() {
  const box = $('#theme');
  box.addEventListener('change', () => {
    if (box.value) root.dataset.theme = box.value;
    else delete root.dataset.theme;
  });
}

(async () => {
  try {
    theme();
    await rest();
    const app = new App(await Events.load());
    app.fromHash();
    root.dataset.ready = 'true';
    await rest();
    await app.events.raw(); // the details are at hand before they are asked for
  } catch (err) {
    const trouble = $('#trouble');
    trouble.textContent = T('trouble', err.message);
    trouble.hidden = false;
    throw err;
  }
})();
