// The overview: what happens now, and in the last minutes.
import { Chart } from './chart.js';
import { h, setText } from './dom.js';
import * as format from './format.js';
import { place } from './places.js';
import { added, figures, percentile } from './series.js';
import { Table } from './table.js';

// The outcomes of requests, each with its color in the style sheet.
const failures = ['rejected', 'canceled', 'deadline', 'lost', 'refused'];

const latency = (us) => (us === null ? '–' : format.duration(us));
const perSecond = (n) => (n === null ? '–' : `${format.rate(n)}/s`);
const bytesPerSecond = (n) => (n === null ? '–' : `${format.bytes(n)}/s`);

export class Overview {
  title = 'Overview';

  constructor(page) {
    this.page = page;
    this.role = select('Role', { server: 'answered here', client: 'called from here' }, () => this.#choose());
    this.type = select('Type', { '': 'all' }, () => this.#choose());
    this.tiles = new Map();
    this.charts = {
      rate: new Chart({ title: 'Requests per second', format: format.rate, series: [{ name: 'ok', color: 'ok' }, { name: 'failed', color: 'rejected' }] }),
      latency: new Chart({ title: 'Latency', format: latency, log: true, series: [{ name: 'p50', color: 'accent' }, { name: 'p99', color: 'deadline' }] }),
      errors: new Chart({ title: 'Failures per second', format: format.rate, series: failures.map((name) => ({ name, color: name })) }),
      work: new Chart({ title: 'At work', format: format.rate, series: [
        { name: 'serving', color: 'accent' }, { name: 'queued', color: 'deadline' }, { name: 'in flight', color: 'refused' }] }),
    };
    this.table = new Table({
      caption: 'By type, rates of the last second', key: (row) => `${row.role} ${row.type}`, empty: 'No request has ended yet.',
      columns: [
        { title: 'Type', of: (row) => ({ text: row.type, href: place(['requests'], { state: 'recent', role: row.role, type: row.type === 'other' ? '' : row.type }) }) },
        { title: 'Role', of: (row) => row.role },
        { title: 'Rate', number: true, of: (row) => perSecond(row.now && row.now.all) },
        { title: 'Failing', number: true, of: (row) => ({ text: perSecond(row.now && row.now.failed), class: row.now && row.now.failed > 0 ? 'bad' : '' }) },
        { title: 'p50', number: true, of: (row) => latency(row.now && row.now.p50) },
        { title: 'p99', number: true, of: (row) => latency(row.now && row.now.p99) },
        { title: 'p99 since start', number: true, of: (row) => latency(row.p99) },
        { title: 'Ended', number: true, of: (row) => format.whole(row.ended) },
        { title: 'Failed', number: true, of: (row) => ({ text: format.whole(row.failed), class: row.failed > 0 ? 'bad' : '' }) },
      ],
    });
    this.element = h('div', { class: 'overview' },
      h('h1', {}, this.title, ' ', this.uptime = h('span', { class: 'muted' })),
      h('form', { class: 'filters', onsubmit: (event) => event.preventDefault() }, this.role.element, this.type.element),
      h('dl', { class: 'tiles' },
        this.#tile('rate', 'Rate'), this.#tile('failing', 'Failing'), this.#tile('p50', 'p50'), this.#tile('p99', 'p99'),
        this.#tile('connections', 'Connections'), this.#tile('serving', 'Serving'), this.#tile('queued', 'Queued'), this.#tile('in_flight', 'In flight'),
        this.#tile('received', 'Received'), this.#tile('sent', 'Sent'), this.#tile('ended', 'Ended in all'), this.#tile('failed', 'Failed in all')),
      h('div', { class: 'charts' }, Object.values(this.charts).map((chart) => chart.element)),
      this.table.element);
  }

  close() {
    Object.values(this.charts).forEach((chart) => chart.close());
  }

  update({ query }) {
    this.query = query;
    this.sampled();
  }

  // sampled shows what the history has now.
  sampled() {
    const { history } = this.page;
    const { last, latest } = history;
    if (!last) return;
    this.#mean(this.query.role || mostly(last.requests), this.query.type || '');
    for (const name of new Set(last.requests.map((row) => row.type))) this.type.offer(name);
    const now = latest && figures(latest, this.meant);
    const total = last.requests.filter(this.meant).map(totals);
    const sum = (of) => total.reduce((n, row) => n + of(row), 0);
    this.#tell({
      rate: perSecond(now && now.all), failing: perSecond(now && now.failed), p50: latency(now && now.p50), p99: latency(now && now.p99),
      connections: format.whole(last.connections), serving: format.whole(last.serving), queued: format.whole(last.queued),
      in_flight: format.whole(last.in_flight), ended: format.whole(sum((row) => row.ended)), failed: format.whole(sum((row) => row.failed)),
      received: bytesPerSecond(latest && latest.received), sent: bytesPerSecond(latest && latest.sent),
    });
    setText(this.uptime, `up for ${format.span((Date.parse(last.now) - Date.parse(last.started)) / 1e3)}`);
    this.tiles.get('failing').classList.toggle('bad', Boolean(now && now.failed > 0));
    const { rate, latency: times, errors, work } = this.charts;
    rate.set(history.columns(this.meant, (f) => f.outcomes.ok || 0, (f) => f.failed));
    times.set(history.columns(this.meant, (f) => f.p50, (f) => f.p99));
    errors.set(history.columns(this.meant, ...failures.map((name) => (f) => f.outcomes[name] || 0)));
    work.set(history.columns(this.meant, (_, l) => l.serving, (_, l) => l.queued, (_, l) => l.in_flight));
    this.table.set(last.requests.map((row) => ({
      ...totals(row), now: latest && figures(latest, (one) => one.type === row.type && one.role === row.role),
    })).sort((a, b) => b.role.localeCompare(a.role) || a.type.localeCompare(b.type)));
  }

  // mean says of which requests the figures are.
  #mean(role, type) {
    if (role === this.meant?.role && type === this.meant.type) return;
    this.type.offer(type);
    this.role.node.value = role;
    this.type.node.value = type;
    this.meant = Object.assign((row) => row.role === role && (type === '' || row.type === type), { role, type });
  }

  #choose() {
    location.hash = place([], { role: this.role.node.value, type: this.type.node.value });
  }

  #tile(key, title) {
    const value = h('dd', { id: `tile-${key}` }, '–');
    this.tiles.set(key, value);
    return h('div', {}, h('dt', {}, title), value);
  }

  #tell(values) {
    for (const [key, text] of Object.entries(values)) setText(this.tiles.get(key), text);
  }
}

// mostly is the role of a process: one that only calls has answered nothing.
const mostly = (rows) => (rows.length > 0 && !rows.some((row) => row.role === 'server') ? 'client' : 'server');

// totals of a row of /statz since the start.
function totals(row) {
  const ended = Object.values(row.outcomes).reduce((sum, n) => sum + n, 0);
  return { type: row.type, role: row.role, ended, failed: ended - (row.outcomes.ok || 0), p99: percentile(added([], row.buckets), 0.99) };
}

function select(label, options, onchange) {
  const node = h('select', { onchange });
  const offer = (value, text = value) => {
    if (![...node.options].some((option) => option.value === value)) node.append(h('option', { value }, text));
  };
  for (const [value, text] of Object.entries(options)) offer(value, text);
  return { node, offer, element: h('label', {}, label, ' ', node) };
}
