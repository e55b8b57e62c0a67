// The list of requests: in flight, notable, or recent, with filters.
import { ask } from './api.js';
import { h, setText } from './dom.js';
import { MatchFields, matchOf } from './filters.js';
import * as format from './format.js';
import { place, placeOfRequest, requestName } from './places.js';
import { Table } from './table.js';

const limit = 100; // rows
const states = { 'in-flight': 'In flight', notable: 'Notable', recent: 'Recent' };

export const typeName = (q) => (q.method ? `${q.method} (${q.type})` : String(q.type));
export const stateName = (q) => (q.state === 'done' ? `${q.outcome}${q.reason ? `: ${q.reason}` : ''}` : q.state.replace('_', ' '));
export const isBad = (q) => q.state === 'done' && q.outcome !== 'ok';

export class Requests {
  title = 'Requests';
  every = 2000;

  constructor(page) {
    this.page = page;
    this.fields = new MatchFields('requests', page.about.types);
    this.tabs = Object.entries(states).map(([state, title]) => h('a', { 'data-state': state }, title));
    this.problem = h('p', { class: 'problem', role: 'alert', hidden: true });
    this.count = h('p', { class: 'count muted', role: 'status' });
    this.rule = h('a', {}, 'Follow such requests by a rule');
    this.table = new Table({
      caption: 'Requests', plain: true, key: (q) => [requestName(q), q.role, q.state === 'done' ? q.duration_us : ''].join(' '), empty: 'No request matches.',
      columns: [
        { title: 'Request', of: (q) => ({ text: requestName(q), href: placeOfRequest(q) }) },
        { title: 'Type', of: typeName },
        { title: 'Outcome', of: (q) => ({ text: stateName(q), class: isBad(q) ? 'bad' : '' }) },
        { title: 'Took', number: true, of: (q) => format.duration(q.duration_us) },
        { title: 'Mostly in', of: (q) => q.slowest_stage.replace('_', ' ') },
        { title: 'Notable because', of: (q) => [q.notable_because, q.error].filter(Boolean).join(': ') },
        { title: 'Started', of: (q) => ({ text: format.clock(q.started, 'ms'), title: q.started }) },
        { title: 'Role', of: (q) => q.role },
      ],
    });
    this.element = h('div', {},
      h('h1', {}, this.title),
      h('nav', { class: 'tabs', 'aria-label': 'Which requests' }, this.tabs),
      h('form', { class: 'match', onsubmit: (event) => this.#submit(event), onchange: (event) => this.#submit(event) },
        this.fields.elements,
        h('div', { class: 'buttons' }, h('button', {}, 'Filter'), h('button', { type: 'button', onclick: () => this.#go({}) }, 'Clear'), this.rule)),
      this.problem, this.count, this.table.element);
  }

  update({ query }) {
    this.state = states[query.state] ? query.state : 'in-flight';
    this.match = matchOf(query);
    this.fields.fill(this.match);
    for (const tab of this.tabs) {
      tab.setAttribute('href', place(['requests'], { state: tab.dataset.state, ...this.match }));
      if (tab.dataset.state === this.state) tab.setAttribute('aria-current', 'page');
      else tab.removeAttribute('aria-current');
    }
    this.rule.setAttribute('href', place(['rules'], this.match));
  }

  async refresh() {
    const asked = this.match;
    let answer;
    try {
      answer = await ask('requestz', { query: { ...asked, state: this.state.replace('-', '_'), limit } });
    } catch (error) {
      if (error.status !== 400) throw error;
      this.#fail(error.message);
      return;
    }
    if (asked !== this.match) return; // others are meant by now
    this.#fail('');
    this.table.set(answer.requests);
    const shown = answer.requests.length;
    // Of those that have ended the server looks for no more than are shown.
    const more = shown < limit ? '' : answer.matched > shown ? `, of ${format.whole(answer.matched)}` : ', there may be more';
    setText(this.count, `${states[this.state]}: ${shown === 1 ? '1 request' : `${format.whole(shown)} requests`}${more}`);
  }

  #fail(text) {
    setText(this.problem, text);
    this.problem.hidden = text === '';
    this.table.element.hidden = text !== '';
    this.count.hidden = text !== '';
  }

  #submit(event) {
    event.preventDefault();
    this.#go(this.fields.match);
  }

  #go(match) {
    if (Object.keys(match).length === 0) this.fields.inputs.forEach((input) => { input.value = ''; });
    location.hash = place(['requests'], { state: this.state, ...match });
  }
}
