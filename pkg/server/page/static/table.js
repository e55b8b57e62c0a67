// Tables whose rows are kept while what they show changes, and with them the focus.
import { h, setText } from './dom.js';

export class Table {
  // columns are {title, of, number, order, of returning a text or {text, href, title,
  // class} of a row, or a node if once is set: then it is asked for a new row only.
  // key is a text that tells rows apart; plain: what is above the table says what it is.
  constructor({ caption, plain, columns, key, empty }) {
    this.columns = columns;
    this.key = key;
    this.rows = new Map();
    this.heads = columns.map((column) => h('th', { scope: 'col', class: column.number && 'number' }, column.title));
    this.body = h('tbody');
    this.caption = h('caption', { class: plain && 'hidden' }, caption);
    this.none = h('p', { class: 'empty', hidden: true }, empty);
    this.element = h('div', {},
      h('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': caption },
        h('table', {}, this.caption, h('thead', {}, h('tr', {}, this.heads)), this.body)),
      this.none);
  }

  // orders makes the titles of columns that have an order links by which to sort.
  orders(current, href) {
    this.columns.forEach((column, i) => {
      if (!column.order) return;
      const sorted = column.order === current;
      const head = this.heads[i];
      if (sorted) head.setAttribute('aria-sort', column.ascending ? 'ascending' : 'descending');
      else head.removeAttribute('aria-sort');
      if (!head.querySelector('a')) head.replaceChildren(h('a', {}, column.title));
      head.querySelector('a').setAttribute('href', href(column.order));
    });
  }

  set(list) {
    const old = this.rows;
    this.rows = new Map();
    let before = null; // the row after which the next one belongs
    for (const row of list) {
      let key = this.key(row);
      while (this.rows.has(key)) key += ' again';
      const tr = old.get(key) || this.#make(row);
      old.delete(key);
      this.rows.set(key, tr);
      this.columns.forEach((column, i) => column.once || fill(tr.children[i], column.of(row)));
      const place = before ? before.nextSibling : this.body.firstChild;
      if (place !== tr) this.body.insertBefore(tr, place);
      before = tr;
    }
    for (const tr of old.values()) tr.remove();
    this.none.hidden = list.length > 0;
  }

  #make(row) {
    return h('tr', {}, this.columns.map((column, i) => {
      const cell = i === 0 ? h('th', { scope: 'row' }) : h('td');
      if (column.number) cell.className = 'number';
      if (column.once) cell.append(column.of(row));
      return cell;
    }));
  }
}

// fill changes a cell only as far as it differs.
function fill(cell, content) {
  const { text, href, title = '', class: kind = '' } = typeof content === 'string' ? { text: content } : content;
  let inner = cell;
  if (href) {
    inner = cell.querySelector('a') || cell.appendChild(h('a'));
    if (inner.getAttribute('href') !== href) inner.setAttribute('href', href);
  }
  setText(inner, text);
  if (title !== inner.title) inner.title = title;
  if (kind !== (cell.dataset.kind || '')) {
    if (cell.dataset.kind) cell.classList.remove(cell.dataset.kind);
    if (kind) cell.classList.add(kind);
    cell.dataset.kind = kind;
  }
}
