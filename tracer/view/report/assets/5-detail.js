// Detail tells all about one event: its fields, what it follows from, what followed.
const linkLimit = 200; // of effects; more help nobody

// known tells how a link to a cause is known where the trace does not name it.
const known = ['', '', T('wire'), T('deduced')];

class Detail {
  constructor(box, events, pick) {
    this.box = box;
    this.events = events;
    this.pick = pick;
  }

  async show(i) {
    const e = this.events;
    this.i = i;
    const fields = await e.fields(i);
    if (this.i !== i) return; // another was picked meanwhile
    const chain = this.chain(i);
    const effects = e.effects(i);
    this.box.replaceChildren(
      el('div', { class: 'which' }, el('b', {}, `#${e.n[i]}`), el('span', {}, page.types[e.type[i]]),
        el('span', { class: 'step' }, this.stepper(-1, '↑', T('previous')), this.stepper(1, '↓', T('next')))),
      el('p', { class: 'when' }, this.when(i)),
      el('p', { class: 'said' }, ...e.styled(i, true)),
      ...(chain.length > 1 ? [el('h3', {}, T('why')), el('ol', { class: 'links chain' }, ...chain.map((k) => this.link(k, k === i)))] : []),
      ...(effects.length ? [el('h3', {}, T('caused')), el('ul', { class: 'links' },
        ...effects.slice(0, linkLimit).map((k) => this.link(k)))] : []),
      ...(effects.length > linkLimit ? [el('p', { class: 'hint' }, T('moreEffects', whole.format(effects.length - linkLimit)))] : []),
      el('h3', {}, T('fields')),
      el('dl', { class: 'fields' }, ...this.rows(fields)),
    );
    this.box.scrollTop = 0;
    this.box.parentElement.classList.remove('empty');
  }

  stepper(by, sign, name) {
    return el('button', { type: 'button', class: 'plain', 'aria-label': name, title: name, onclick: () => this.step(by) }, sign);
  }

  when(i) {
    const at = new Date(page.started + this.events.t[i] / 1e6);
    return `${millis(this.events.t[i])} ms · ${at.toISOString().replace('T', ' ').replace('Z', ' UTC')}`;
  }

  // chain is how it came to the event at i: the place of what began it first.
  chain(i) {
    const chain = [i];
    const seen = new Set(chain);
    for (let k = this.back(i); k >= 0 && !seen.has(k); k = this.back(k)) {
      chain.unshift(k);
      seen.add(k);
    }
    return chain;
  }

  back(i) {
    const n = this.events.cause[i];
    return n ? this.events.at(n) : -1;
  }

  link(i, current = false) {
    const e = this.events;
    return el('li', {}, el('a', {
      href: `#${e.n[i]}`, 'data-n': e.n[i], 'aria-current': current ? 'true' : false,
      onclick: (click) => { click.preventDefault(); this.pick(i); },
    }, el('b', {}, `#${e.n[i]}`), el('span', {}, ...e.styled(i, true)),
    el('small', {}, [`${page.stacks[e.stack[i]]}${e.conn[i] ? `.${e.conn[i]}` : ''}`, `${millis(e.t[i])} ms`, known[e.link[i]]].filter(Boolean).join(' · '))));
  }

  rows(fields, prefix = '') {
    const rows = [];
    for (const [key, value] of Object.entries(fields)) {
      if (value !== null && typeof value === 'object' && !Array.isArray(value)) rows.push(...this.rows(value, `${prefix}${key}.`));
      else rows.push(el('dt', {}, prefix + key), el('dd', {}, this.value(prefix + key, value)));
    }
    return rows;
  }

  // value shows a field's value; what names another event leads to it.
  value(key, value) {
    const names = key === 'cause.n' || key === 'of' || key === 'after';
    const i = names && typeof value === 'number' ? this.events.at(value) : -1;
    if (i >= 0) {
      return el('a', { class: 'to', href: `#${value}`, onclick: (click) => { click.preventDefault(); this.pick(i); } }, `#${value}`);
    }
    if (Array.isArray(value)) return value.map((v) => (Array.isArray(v) ? v.join('–') : v)).join(' ');
    if (key.endsWith('_ns') && typeof value === 'number') return `${whole.format(value)} (${span(value)})`;
    return String(value);
  }
}
