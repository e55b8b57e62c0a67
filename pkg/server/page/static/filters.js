// The fields that say which requests are meant, in the language of the command line.
import { h } from './dom.js';

// The first ones are always seen, the others when asked for.
const fields = [
  { name: 'type', title: 'Type', hint: 'name, or number', list: 'types' },
  { name: 'outcome', title: 'Outcome', options: ['failed', 'pending', 'ok', 'rejected', 'canceled', 'deadline', 'lost', 'refused'] },
  { name: 'slower_than', title: 'Slower than', hint: 'such as 100ms' },
  { name: 'conn', title: 'Connection', hint: 'its whole name' },
  { name: 'tag', title: 'Tag', hint: '4711, or 1-99' },
];
const further = [
  { name: 'role', title: 'Role', options: ['server', 'client'] },
  { name: 'peer', title: 'Peer', hint: 'part of its address' },
  { name: 'identity', title: 'Identity', hint: 'as it was verified' },
  { name: 'label', title: 'Label', hint: 'part of a call’s label' },
  { name: 'channel', title: 'Channel', hint: '0, or 1-99' },
];
const names = [...fields, ...further].map((field) => field.name);

// matchOf takes what a match is made of from parameters.
export const matchOf = (query) => Object.fromEntries(names.filter((name) => query[name]).map((name) => [name, query[name]]));

// MatchFields are the fields as a part of a form.
export class MatchFields {
  constructor(prefix, types) {
    this.inputs = new Map();
    const make = (field) => {
      const id = `${prefix}-${field.name}`;
      const input = field.options
        ? h('select', { id, name: field.name }, h('option', { value: '' }, 'any'), field.options.map((value) => h('option', { value }, value)))
        : h('input', { id, name: field.name, placeholder: field.hint, list: field.list && `${prefix}-${field.list}`, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
      this.inputs.set(field.name, input);
      return h('div', { class: 'field' }, h('label', { for: id }, field.title), input);
    };
    this.more = h('details', { class: 'more' }, h('summary', {}, 'More filters'), h('div', { class: 'fields' }, further.map(make)));
    this.elements = [
      h('div', { class: 'fields' }, fields.map(make)), this.more,
      h('datalist', { id: `${prefix}-types` }, types.map((value) => h('option', { value }))),
    ];
  }

  // fill shows a match. A field that is being written in is left alone.
  fill(query) {
    for (const [name, input] of this.inputs) {
      const value = query[name] || '';
      if (input.value !== value && (value !== '' || document.activeElement !== input)) input.value = value;
    }
    if (further.some((field) => query[field.name])) this.more.open = true;
  }

  get match() {
    return matchOf(Object.fromEntries([...this.inputs].map(([name, input]) => [name, input.value.trim()])));
  }
}
