// Log lines, for people.
import { h } from './dom.js';
import { clock } from './format.js';

// What has a column of its own, or is known from what the lines are about.
const told = ['time', 'level', 'msg', 'logger', 'request', 'conn', 'channel', 'tag', 'type', 'method'];

const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value));
const rest = (line) => Object.entries(line).filter(([name]) => !told.includes(name)).map(([name, value]) => `${name}=${text(value)}`).join('  ');

// lines is a table of log lines, or that there are none.
export function lines(list) {
  const title = 'Logged with this connection and tag';
  if (list.length === 0) return h('p', { class: 'muted' }, `${title}: nothing that is still kept.`);
  return h('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': title },
    h('table', { class: 'lines' }, h('caption', {}, title),
      h('thead', {}, h('tr', {}, ['Time', 'Level', 'Message', 'With'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, list.map((line) => h('tr', {},
        h('th', { scope: 'row', title: line.time }, clock(line.time, 'ms')),
        h('td', { class: ['warn', 'error'].includes(line.level) ? 'bad' : null }, text(line.level)),
        h('td', {}, text(line.msg)), h('td', {}, rest(line)))))));
}
