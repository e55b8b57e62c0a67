// The page: which view is shown, when it asks anew, and whether the server answers.
import { Refused, Unreachable, ask, forgetToken, hasToken } from './api.js';
import { Connections } from './connections.js';
import { h, setText, webLink } from './dom.js';
import { clock } from './format.js';
import { Overview } from './overview.js';
import { here } from './places.js';
import { Request } from './request.js';
import { Requests } from './requests.js';
import { Rules } from './rules.js';
import { History } from './series.js';
import { Token } from './token.js';

const views = { '': Overview, connections: Connections, requests: Requests, request: Request, rules: Rules };
const beat = 1000; // ms between questions for the totals

const main = document.getElementById('main');
const state = document.getElementById('state');

// page is what views know of it: history (of the totals), about (the server), refresh
// (asks for what is shown), failed (tells of an error).
const page = { history: new History(), about: null, refresh, failed };
let shown = null; // {name, view, due, failed}
let lost = null; // when the server began not to answer
let locked = false; // the form for the token is shown

function route() {
  if (!page.about || locked) return;
  const place = here();
  const name = place.parts[0] || '';
  if (!shown || shown.name !== name) {
    shown?.view.close?.();
    const first = shown === null;
    const View = views[name];
    shown = { name, view: View ? new View(page) : { title: 'Nothing here', element: h('h1', {}, 'There is no such view'), update() {} } };
    main.replaceChildren(shown.view.element);
    if (!first) main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown.view.update(place);
  document.title = `${shown.view.title} – ${page.about.service} at ${location.host}`;
  for (const link of document.querySelectorAll('header nav a')) {
    const to = link.getAttribute('href').slice(2);
    if (to === name || to === 'requests' && name === 'request') link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  refresh();
}

// refresh asks for what the view shows, now.
async function refresh() {
  const asked = shown;
  asked.due = performance.now() + (asked.view.every || Infinity);
  try {
    await asked.view.refresh?.();
    asked.failed = false;
  } catch (error) {
    asked.failed = true;
    failed(error);
  }
}

function failed(error) {
  if (error.status === 401) {
    lock();
  } else if (error instanceof Refused) {
    tell('bad', `${error.status}: ${error.message}`);
  } else if (error instanceof Unreachable) {
    lost ??= new Date();
    tell('bad', `No answer since ${clock(lost)}, trying again`);
  } else {
    tell('bad', 'This page has a fault, see the console');
    console.error(error);
  }
}

function tell(kind, text) {
  state.className = `state ${kind}`;
  setText(state, text);
}

function lock() {
  if (locked) return;
  locked = true;
  shown?.view.close?.();
  shown = null;
  const refused = hasToken();
  forgetToken();
  const form = new Token(refused, () => {
    locked = false;
    tick();
  });
  main.replaceChildren(form.element);
  document.title = `${form.title} – pktsvc at ${location.host}`;
  form.input.focus();
  tell('bad', 'Token wanted');
}

async function introduce() {
  page.about = await ask('pagez');
  const { about } = page;
  setText(document.getElementById('service'), about.service);
  setText(document.getElementById('build'), `${about.build.version} ${(about.build.revision || '').slice(0, 12)} ${about.build.go}`);
  for (const item of document.querySelectorAll('[data-path]')) item.hidden = !about.paths.includes(item.dataset.path);
  if (about.dashboards_url) {
    const item = document.getElementById('dashboards');
    item.replaceChildren(webLink(about.dashboards_url, 'Dashboards'));
    item.hidden = false;
  }
}

// tick asks for the totals, and for what the view shows if that is due. A hidden tab asks
// for nothing.
let timer = 0;
let busy = false;
async function tick() {
  clearTimeout(timer);
  if (document.hidden || locked || busy) return;
  busy = true;
  try {
    if (!page.about) await introduce();
    page.history.add(await ask('statz'));
    lost = null;
    if (shown) shown.view.sampled?.();
    else route();
    if (shown?.due <= performance.now()) await refresh();
    if (!shown?.failed && !locked && !document.hidden) tell('good', 'Live');
  } catch (error) {
    failed(error);
  }
  busy = false;
  if (!locked) timer = setTimeout(tick, beat);
}

document.addEventListener('visibilitychange', () => {
  tell('', document.hidden ? 'Paused' : 'Connecting…');
  tick();
});
addEventListener('hashchange', route);
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
setText(document.getElementById('host'), location.host);
tick();
