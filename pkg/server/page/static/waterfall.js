// Where the time of one request went: its stages, each with its end.
import { h } from './dom.js';
import * as format from './format.js';

// The stages of either role, and the point in time that ends each.
const stages = {
  client: [['queue', 'encoded'], ['write', 'written'], ['peer', 'response_received'], ['deliver', 'delivered']],
  server: [['queue', 'started'], ['handler', 'handler_done'], ['write', 'response_written']],
};

const about = {
  queue: 'waits for its turn', write: 'until the stream has taken it', deliver: 'until the caller has it',
  handler: 'the handler runs', peer: 'on the way, and at the peer', wire: 'on the way, there and back',
  peer_queue: 'waits for a handler', peer_handler: 'the handler runs',
};

// barsOf are the stages that are known, in microseconds. One whose end is not known lasts
// until the next point that is, or until the end.
export function barsOf(q) {
  const list = [];
  let from = 0;
  const order = stages[q.role] || [];
  for (const [i, [name, until]] of order.entries()) {
    const at = q.stages_us[until];
    if (at !== undefined) {
      list.push(...parts(q, name, from, Math.max(0, at - from)));
      from = Math.max(from, at);
      continue;
    }
    if (!order.slice(i + 1).some(([, later]) => q.stages_us[later] !== undefined)) {
      const open = q.state !== 'done';
      if (open || q.duration_us > from) list.push({ name, pieces: [[from, Math.max(0, q.duration_us - from)]], open });
      break;
    }
  }
  return list.map((bar) => ({ ...bar, end: endOf(bar.name), took: bar.pieces.reduce((sum, [, took]) => sum + took, 0) }));
}

// parts of a stage, where the peer has told its times. The way there and back took as
// long, for all that is known.
function parts(q, name, from, took) {
  if (name !== 'peer' || !q.peer_times) return [{ name, pieces: [[from, took]] }];
  const { queue_us: queue, handler_us: handler } = q.peer_times;
  const way = Math.max(0, took - queue - handler);
  const there = Math.floor(way / 2);
  return [
    { name: 'wire', pieces: [[from, there], [from + there + queue + handler, way - there]] },
    { name: 'peer_queue', pieces: [[from + there, queue]] },
    { name: 'peer_handler', pieces: [[from + there + queue, handler]] },
  ];
}

function endOf(name) {
  if (name.startsWith('peer_')) return 'peer';
  return name === 'wire' ? 'between' : name === 'peer' ? 'beyond' : 'here';
}

const ends = { here: 'here', peer: 'at the peer', between: 'there and back', beyond: 'and the way' };

// waterfall is a table of the stages, with bars over the whole time.
export function waterfall(q) {
  const bars = barsOf(q);
  const whole = Math.max(1, q.duration_us, ...bars.flatMap((bar) => bar.pieces.map(([from, took]) => from + took)));
  const rows = bars.map((bar) => {
    const most = bar.name === q.slowest_stage;
    return h('tr', { class: most ? 'most' : null, 'data-stage': bar.name },
      h('th', { scope: 'row' }, h('span', { class: 'stage' }, bar.name.replace('peer_', '')), ' ', h('span', { class: 'muted' }, ends[bar.end]),
        bar.open && h('span', { class: 'mark' }, ' still'), most && h('span', { class: 'mark' }, ' most of it')),
      h('td', { class: 'number' }, format.duration(bar.took)),
      h('td', { class: 'number share' }, `${Math.round(bar.took / whole * 100)} %`),
      h('td', { class: 'bars', title: about[bar.name] }, h('div', { class: `lane ${bar.end}`, 'aria-hidden': 'true' }, bar.pieces.map(([from, took]) => piece(from / whole, took / whole)))));
  });
  const axis = h('div', { class: 'axis', 'aria-hidden': 'true' }, [0, 0.5, 1].map((part) => h('span', {}, format.duration(whole * part))));
  return h('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': 'Stages' },
    h('table', { class: 'waterfall' }, h('caption', {}, 'Stages, in the order of time'),
      h('thead', {}, h('tr', {},
        h('th', { scope: 'col' }, 'Stage'), h('th', { scope: 'col', class: 'number' }, 'Took'),
        h('th', { scope: 'col', class: 'number share' }, 'Share'), h('th', { scope: 'col', class: 'bars' }, h('span', { class: 'hidden' }, 'When'), axis))),
      h('tbody', {}, rows)));
}

function piece(from, took) {
  const node = h('span');
  node.style.left = `min(${from * 100}%, 100% - 2px)`; // as wide as the shortest bar is
  node.style.width = `${took * 100}%`;
  return node;
}
