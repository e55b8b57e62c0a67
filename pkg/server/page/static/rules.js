// The rules by which requests are followed: those in force, and a form for one more.
import { Refused, ask } from './api.js';
import { h, setText } from './dom.js';
import { MatchFields, matchOf } from './filters.js';
import * as format from './format.js';
import { Table } from './table.js';

export class Rules {
  title = 'Rules';
  every = 2000;

  constructor(page) {
    this.page = page;
    this.fields = new MatchFields('rule', page.about.types);
    this.problem = h('p', { class: 'problem', role: 'alert', hidden: true });
    this.told = h('p', { class: 'count muted', role: 'status' });
    this.limits = [
      limit('for', 'For', '10m', 'how long, such as 30s or 1h'),
      limit('count', 'At most', '1000', 'requests'),
      limit('every', 'One in', '1', 'of those that match; 1: all'),
      limit('payload', 'Payload', '', 'bytes to show of each, as far as the server lets'),
    ];
    this.span = h('input', { type: 'checkbox', id: 'rule-span', checked: true });
    this.log = h('input', { type: 'checkbox', id: 'rule-log' });
    this.table = new Table({
      caption: 'Rules in force', key: (rule) => String(rule.id), empty: 'No rule is in force.',
      columns: [
        { title: 'Rule', of: (rule) => String(rule.id) },
        { title: 'Matches', of: (rule) => rule.match || 'all requests' },
        { title: 'Taken', number: true, of: (rule) => `${format.whole(rule.taken)} of ${format.whole(rule.count)}` },
        { title: 'One in', number: true, of: (rule) => format.whole(rule.every) },
        { title: 'Does', of: (rule) => ['remember', rule.span && 'span', rule.log && 'log', rule.payload > 0 && 'payload'].filter(Boolean).join(', ') },
        { title: 'Until', of: (rule) => ({ text: format.clock(rule.until), title: rule.until }) },
        { title: 'Remove', once: true, of: (rule) => h('button', { type: 'button', 'aria-label': `Remove rule ${rule.id}`, onclick: (event) => this.#remove(rule, event.target) }, 'Remove') },
      ],
    });
    this.element = h('div', {},
      h('h1', {}, this.title),
      h('p', { class: 'muted' }, 'Requests that match a rule are remembered as notable, get a span with their true times, and are logged if the rule says so. A rule ends by itself.'),
      this.told, this.table.element,
      h('h2', {}, 'Add a rule'),
      h('form', { class: 'match', id: 'add-rule', onsubmit: (event) => this.#add(event) },
        this.fields.elements,
        h('div', { class: 'fields' }, this.limits.map((one) => one.element),
          h('div', { class: 'checks' }, h('label', {}, this.span, ' export a span'), h('label', {}, this.log, ' log each'))),
        this.problem,
        h('div', { class: 'buttons' }, h('button', { class: 'primary' }, 'Add the rule'))));
  }

  update({ query }) {
    this.fields.fill(matchOf(query));
  }

  async refresh() {
    const { rules } = await ask('tracez');
    this.table.set(rules);
  }

  async #add(event) {
    event.preventDefault();
    const form = { ...this.fields.match, span: this.span.checked, log: this.log.checked };
    for (const { input } of this.limits) {
      if (input.value.trim() !== '') form[input.name] = input.value.trim();
    }
    await this.#change(async () => {
      const rule = await ask('tracez', { method: 'POST', form });
      return `Rule ${rule.id} is in force until ${format.clock(rule.until)}, for ${format.whole(rule.count)} requests at most.`;
    });
  }

  async #remove(rule, button) {
    button.disabled = true;
    await this.#change(async () => {
      const removed = await ask('tracez', { method: 'DELETE', query: { id: rule.id } });
      return `Rule ${removed.id} is removed. It has taken ${format.whole(removed.taken)} requests.`;
    });
    button.disabled = false;
    // Its button is gone, and the focus with it.
    if (!button.isConnected) this.table.element.querySelector('.scroll').focus();
  }

  // change tells how it went, and shows the rules that are in force then.
  async #change(make) {
    let problem = '';
    try {
      setText(this.told, await make());
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 401) this.page.failed(error);
      problem = error.message;
    }
    setText(this.problem, problem);
    this.problem.hidden = problem === '';
    await this.page.refresh();
  }
}

function limit(name, title, value, hint) {
  const id = `rule-${name}`;
  const input = h('input', { id, name, value, 'aria-describedby': `${id}-hint`, autocomplete: 'off' });
  return { input, element: h('div', { class: 'field' }, h('label', { for: id }, title), input, h('small', { id: `${id}-hint`, class: 'muted' }, hint)) };
}
