// One request: what is known of it, and where its time went.
import { ask } from './api.js';
import { h, setText, webLink } from './dom.js';
import * as format from './format.js';
import { micros, place, placeOfRequest, requestName } from './places.js';
import { isBad, stateName, typeName } from './requests.js';
import { lines } from './lines.js';
import { waterfall } from './waterfall.js';

const limit = 20; // requests of one tag, one after the other, and log lines of them
const blur = 5; // µs by which the times of the same request may differ

export class Request {
  every = 1000;

  constructor(page) {
    this.page = page;
    this.heading = h('h1');
    this.note = h('p', { class: 'muted', role: 'status' });
    this.found = h('div');
    this.element = h('div', { class: 'request' }, this.heading, this.note, this.found);
  }

  update({ parts, query }) {
    const [conn, ...numbers] = parts.slice(1);
    const tag = numbers.pop();
    this.query = { conn: conn || '', tag: tag || '', channel: numbers.pop() || '0', role: query.role || '' };
    this.started = query.started ? Number(query.started) : null;
    this.title = [conn, this.query.channel === '0' ? null : this.query.channel, tag].filter(Boolean).join('/');
    setText(this.heading, `Request ${this.title}`);
    this.shown = '';
    this.ended = false;
  }

  async refresh() {
    if (this.ended) return; // nothing changes any more
    const asked = this.query;
    const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== ''));
    let list = [];
    try {
      ({ requests: list } = await ask('requestz', { query: { ...given, state: 'all', limit } }));
    } catch (error) {
      if (error.status !== 400) throw error;
    }
    if (asked !== this.query) return;
    const same = (q, started) => Math.abs(micros(q.started) - started) <= blur;
    const candidates = this.started === null ? list : list.filter((q) => same(q, this.started));
    const one = candidates.find((q) => q.notable_because) || candidates[0]; // more is known of notable ones
    const others = list.filter((q) => q !== one && !(one && q.role === one.role && same(q, micros(one.started))));
    setText(this.note, one ? '' : 'It is neither in flight nor remembered any more.');
    const shown = JSON.stringify([one && { ...one, started: '' }, others.length]);
    if (shown === this.shown) return;
    const logged = one && await ask('logz', { query: { conn: one.conn, tag: one.tag, limit } });
    if (asked !== this.query) return;
    this.shown = shown;
    this.ended = Boolean(one) && one.state === 'done';
    this.found.replaceChildren(...(one ? [waterfall(one), this.#facts(one), lines(logged.lines)] : []), ...(others.length > 0 ? [this.#others(others)] : []));
  }

  #facts(q) {
    const template = this.page.about.trace_url;
    const facts = [
      ['Outcome', h('span', { class: isBad(q) ? 'bad' : null }, stateName(q))],
      ['Error', q.error],
      ['Notable because', q.notable_because],
      ['Took', format.duration(q.duration_us)],
      ['Type', typeName(q)],
      ['Role', q.role === 'server' ? 'server: the peer has asked' : 'client: this side has asked'],
      ['Connection', this.page.about.paths.includes('/connz') ? h('a', { href: place(['connections'], { state: 'all', name: q.conn }) }, q.conn) : q.conn],
      ['Peer', q.peer],
      ['Identity', q.identity],
      ['Label', q.label],
      ['Channel, tag', `${q.channel}, ${q.tag}`],
      ['Flags', `0x${q.flags.toString(16)}`],
      ['Started', q.started],
      ['Sizes', `${format.bytes(q.request_bytes)} asked, ${format.bytes(q.response_bytes)} answered`],
      ['Trace', q.trace_id && (template ? webLink(template.replaceAll('{trace_id}', encodeURIComponent(q.trace_id)), q.trace_id) : h('code', {}, q.trace_id))],
      ['Payload', q.payload && h('code', {}, q.payload)],
    ];
    return h('dl', { class: 'facts' }, facts.filter(([, value]) => value).map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
  }

  #others(list) {
    return h('section', {}, h('h2', {}, 'Others of the same name'),
      h('ul', {}, list.map((q) => h('li', {}, h('a', { href: placeOfRequest(q) }, `${requestName(q)} at ${format.clock(q.started, 'ms')}`),
        ` ${q.role} of ${typeName(q)}, ${stateName(q)}, ${format.duration(q.duration_us)}`))));
  }
}
