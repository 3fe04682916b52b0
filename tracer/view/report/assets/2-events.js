// Events holds the columns of all events, an entry an event, and finds and reads them.
class Events {
  static async load() {
    const e = new Events();
    const [columns, stories] = await Promise.all([unpack('data-columns').json(), unpack('data-stories').text()]);
    e.take(columns, stories);
    return e;
  }

  take(c, stories) {
    this.count = c.n.length;
    this.n = sums(c.n);
    this.t = sums(c.t);
    this.type = Uint8Array.from(c.type);
    this.stack = Uint16Array.from(c.stack);
    this.conn = Uint32Array.from(c.conn);
    this.cause = Float64Array.from(c.cause);
    this.link = Uint8Array.from(c.link);
    this.state = Uint8Array.from(c.state);
    this.stories = stories.split('\n');
    this.plain = new Array(this.count);
  }

  // at returns the place of the event with that number, -1 where there is none.
  at(n) {
    let lo = 0;
    let hi = this.count;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.n[mid] < n) lo = mid + 1; else hi = mid;
    }
    return this.n[lo] === n ? lo : -1;
  }

  // story is what an event tells, without styles.
  story(i) {
    return this.plain[i] ??= this.stories[i].replace(/\x1b\[[\d;]*m/g, '');
  }

  // styled returns the nodes of an event's story; loose is without the room that its
  // columns take in the list.
  styled(i, loose = false) {
    const text = loose ? this.stories[i].replace(/ {2,}/g, '  ') : this.stories[i];
    const parts = text.split(/\x1b\[([\d;]*)m/);
    const nodes = [];
    for (let k = 0, style = ''; k < parts.length; k++) {
      if (k % 2) style = styles[parts[k]] ?? '';
      else if (parts[k]) nodes.push(style ? el('span', { class: style }, parts[k]) : parts[k]);
    }
    return nodes;
  }

  // effects are the places of the events that the one at i caused, ascending.
  effects(i) {
    if (!this.caused) {
      this.caused = new Map();
      for (let k = 0; k < this.count; k++) {
        const n = this.cause[k];
        if (!n) continue;
        const list = this.caused.get(n);
        if (list) list.push(k); else this.caused.set(n, [k]);
      }
    }
    return this.caused.get(this.n[i]) ?? [];
  }

  // raw are the bytes of the trace, as JSONL.
  raw() { return this.bytes ??= unpack('data-lines').arrayBuffer().then((b) => new Uint8Array(b)); }

  // fields returns what the trace has of the event at i.
  async fields(i) {
    const bytes = await this.raw();
    this.starts ??= lineStarts(bytes, this.count + 1);
    const line = bytes.subarray(this.starts[i + 1], this.starts[i + 2] ?? bytes.length);
    return JSON.parse(new TextDecoder().decode(line), exact);
  }
}

// A number that is too long for the language is kept as it was written.
function exact(key, value, context) {
  if (typeof value === 'number' && !Number.isSafeInteger(value) && context?.source) return context.source;
  return value;
}

// styles are the classes of package text's styles, by their SGR parameters.
const styles = {
  2: 't-dim', 1: 't-bold', 36: 't-in', 32: 't-out', '1;35': 't-state', 33: 't-amber', 31: 't-bad',
};

function sums(deltas) {
  const out = new Float64Array(deltas.length);
  let sum = 0;
  for (let i = 0; i < deltas.length; i++) out[i] = sum += deltas[i];
  return out;
}

function lineStarts(bytes, lines) {
  const starts = [0];
  for (let at = bytes.indexOf(10); at >= 0 && starts.length < lines + 1; at = bytes.indexOf(10, at + 1)) starts.push(at + 1);
  return starts;
}
