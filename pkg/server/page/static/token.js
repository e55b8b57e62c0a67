// The form for the admin token.
import { setToken } from './api.js';
import { h } from './dom.js';

export class Token {
  title = 'Token';

  // again is called with a token to try.
  constructor(refused, again) {
    const input = h('input', { type: 'password', id: 'token', name: 'token', autocomplete: 'current-password', required: true, 'aria-describedby': 'token-about' });
    this.element = h('div', { class: 'token' },
      h('h1', {}, 'This server wants its admin token'),
      refused && h('p', { class: 'problem', role: 'alert' }, 'The server does not take this token.'),
      h('form', {
        class: 'match',
        onsubmit: (event) => {
          event.preventDefault();
          setToken(input.value);
          again();
        },
      },
      h('div', { class: 'field' }, h('label', { for: 'token' }, 'Token'), input),
      h('p', { class: 'muted', id: 'token-about' }, 'The one that the server was given as admin_token. This tab keeps it until it is closed, and sends it to this server only.'),
      h('div', { class: 'buttons' }, h('button', { class: 'primary' }, 'Use it'))));
    this.input = input;
  }
}
