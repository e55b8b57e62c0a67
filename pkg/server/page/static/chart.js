// A chart of some series over the last minutes, by uPlot, with a legend that can be read
// as text.
import { h, setText } from './dom.js';
import { clock } from './format.js';

const height = 180; // px
const least = 60; // seconds that are shown even if less is known
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export class Chart {
  // series are {name, color}, the color being a variable of the style sheet; format makes
  // a text of a value.
  constructor({ title, series, format, log = false }) {
    this.title = title;
    this.series = series;
    this.format = format;
    this.values = series.map((one) => h('dd', { 'data-series': one.name }));
    this.when = h('span', { class: 'muted' });
    this.plot = h('div', { class: 'plot', role: 'img', 'aria-label': title });
    this.element = h('figure', { class: 'chart' },
      h('figcaption', {}, h('h2', {}, title, ' ', this.when),
        h('dl', { class: 'legend' }, series.map((one, i) => h('div', {}, h('dt', { class: `key ${one.color}` }, one.name), this.values[i])))),
      this.plot);
    this.data = [[], ...series.map(() => [])];
    this.log = log;
    this.observer = new ResizeObserver(() => this.#fit());
    this.observer.observe(this.plot);
    this.scheme = matchMedia('(prefers-color-scheme: dark)');
    this.redraw = () => this.uplot?.redraw();
    this.scheme.addEventListener('change', this.redraw);
  }

  // set shows other data: times, and the values of each series.
  set(data) {
    this.data = data;
    this.uplot?.setData(data);
    this.#legend(this.uplot?.cursor.idx);
    const now = this.series.map((one, i) => `${one.name} ${this.format(data[i + 1].at(-1))}`).join(', ');
    this.plot.setAttribute('aria-label', `${this.title}, the last minutes. Now: ${now}`);
  }

  close() {
    this.observer.disconnect();
    this.scheme.removeEventListener('change', this.redraw);
    this.uplot?.destroy();
  }

  // The legend has the values under the pointer, else the last ones.
  #legend(index) {
    const time = this.data[0][index];
    setText(this.when, time === undefined ? '' : `at ${clock(time * 1e3)}`);
    this.values.forEach((node, i) => setText(node, this.format(this.data[i + 1].at(index ?? -1) ?? null)));
  }

  #fit() {
    const width = Math.floor(this.plot.clientWidth);
    if (width === 0) return;
    if (this.uplot) this.uplot.setSize({ width, height });
    else this.uplot = new uPlot(this.#options(width), this.data, this.plot);
  }

  // The times that are shown grow until they are all that is kept.
  #times() {
    const last = this.data[0].at(-1) ?? Date.now() / 1e3;
    return [Math.min(this.data[0][0] ?? last, last - least), last];
  }

  #options(width) {
    const grid = { stroke: () => color('line'), width: 1 };
    const axis = { stroke: () => color('muted'), font: '11px system-ui, sans-serif', grid, ticks: { show: false } };
    // Of a logarithmic scale the powers of ten are enough.
    const tens = (_, at) => at.map((v) => (this.log && !Number.isInteger(Math.round(Math.log10(v) * 1e6) / 1e6) ? null : v));
    return {
      width, height, legend: { show: false }, padding: [8, 26, 0, 0],
      cursor: { sync: { key: 'charts' }, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { time: true, range: () => this.#times() },
        y: this.log ? { distr: 3 } : { range: (_, __, max) => [0, Math.max(1, max ?? 0) * 1.1] },
      },
      axes: [
        { ...axis, size: 30, gap: 10, space: 70, incrs: [15, 30, 60, 120, 300], values: (_, at) => at.map((t) => clock(t * 1e3)) },
        { ...axis, size: 58, gap: 6, space: 36, filter: tens, grid: { ...grid, filter: tens }, values: (_, at) => at.map((v) => (v === null ? '' : this.format(v))) },
      ],
      series: [{}, ...this.series.map((one) => ({
        label: one.name, stroke: () => color(one.color), width: 1.5, points: { show: false }, spanGaps: false,
      }))],
      hooks: { setCursor: [(u) => this.#legend(u.cursor.idx)] },
    };
  }
}
