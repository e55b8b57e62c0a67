// The list of connections.
import { ask } from './api.js';
import { h, setText } from './dom.js';
import * as format from './format.js';
import { place } from './places.js';
import { Table } from './table.js';

const limit = 100; // rows
const states = { open: 'Open', closed: 'Closed', all: 'All' };

export class Connections {
  title = 'Connections';
  every = 2000;

  constructor() {
    this.tabs = Object.entries(states).map(([state, title]) => h('a', { 'data-state': state }, title));
    this.inputs = ['name', 'peer', 'identity'].map((name) => h('input', { id: `connections-${name}`, name, placeholder: 'part of it', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' }));
    this.count = h('p', { class: 'count muted', role: 'status' });
    const figure = (title, order, of) => ({ title, order, number: true, of: (c) => (typeof of(c) === 'number' ? format.whole(of(c)) : of(c)) });
    this.table = new Table({
      caption: 'Connections', plain: true, key: (c) => `${c.name} ${c.opened}`, empty: 'No connection matches.',
      columns: [
        { title: 'Name', order: 'name', ascending: true, of: (c) => ({ text: c.name, href: place(['requests'], { state: c.state === 'open' ? 'in-flight' : 'recent', conn: c.name }) }) },
        { title: 'Peer', of: (c) => ({ text: c.identity ? `${c.peer} (${c.identity})` : c.peer, title: `at ${c.listener}` }) },
        { title: 'State', of: (c) => ({ text: c.state === 'open' ? (c.stats.paused ? 'paused' : 'open') : c.reason, title: c.cause || '', class: c.cause || c.stats.paused ? 'bad' : '' }) },
        figure('Age', 'age', (c) => format.span(c.age_seconds)),
        figure('Requests', 'requests', (c) => c.stats.requests_received),
        figure('Calls', 'calls', (c) => c.stats.calls_sent),
        figure('Serving', 'serving', (c) => c.stats.serving + c.stats.queued),
        figure('In flight', '', (c) => c.stats.in_flight),
        figure('Received', 'received', (c) => format.bytes(c.stats.bytes_received)),
        figure('Sent', 'sent', (c) => format.bytes(c.stats.bytes_sent)),
        figure('To send', 'send_queued', (c) => format.bytes(c.stats.send_queued)),
        figure('Stalls', 'stalls', (c) => c.stats.stalls),
      ],
    });
    this.element = h('div', {},
      h('h1', {}, this.title),
      h('nav', { class: 'tabs', 'aria-label': 'Which connections' }, this.tabs),
      h('form', { class: 'match', onsubmit: (event) => this.#submit(event), onchange: (event) => this.#submit(event) },
        h('div', { class: 'fields' }, this.inputs.map((input) => h('div', { class: 'field' },
          h('label', { for: input.id }, input.name[0].toUpperCase() + input.name.slice(1)), input)),
        h('div', { class: 'buttons' }, h('button', {}, 'Filter')))),
      this.count, this.table.element);
  }

  update({ query }) {
    const { name = '', peer = '', identity = '', sort = 'name' } = query;
    this.query = { state: states[query.state] ? query.state : 'open', name, peer, identity, sort };
    for (const input of this.inputs) {
      if (document.activeElement !== input) input.value = this.query[input.name];
    }
    for (const tab of this.tabs) {
      tab.setAttribute('href', place(['connections'], { ...this.query, state: tab.dataset.state }));
      if (tab.dataset.state === this.query.state) tab.setAttribute('aria-current', 'page');
      else tab.removeAttribute('aria-current');
    }
    this.table.orders(sort, (order) => place(['connections'], { ...this.query, sort: order }));
  }

  async refresh() {
    const asked = this.query;
    const answer = await ask('connz', { query: { ...asked, limit } });
    if (asked !== this.query) return;
    this.table.set(answer.connections);
    const shown = answer.connections.length;
    const some = shown < answer.matched ? `${format.whole(shown)} of ${format.whole(answer.matched)}` : format.whole(shown);
    const closed = Object.entries(answer.closed).map(([reason, n]) => `${format.whole(n)} ${reason}`).join(', ');
    setText(this.count, `Listed: ${some}; open: ${format.whole(answer.open)}; closed since the start: ${closed || 'none'}`);
  }

  #submit(event) {
    event.preventDefault();
    location.hash = place(['connections'], { ...this.query, ...Object.fromEntries(this.inputs.map((input) => [input.name, input.value.trim()])) });
  }
}
