// Questions to the admin server.

const tokenKey = 'pktsvc.token';
const patience = 10_000; // ms

// Refused is an answer that is an error: the status says which.
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// The token is kept for this tab and its life only.
export const setToken = (token) => sessionStorage.setItem(tokenKey, token);
export const forgetToken = () => sessionStorage.removeItem(tokenKey);
export const hasToken = () => sessionStorage.getItem(tokenKey) !== null;

// Unreachable is that there was no answer.
export class Unreachable extends Error {}

// ask reads a path of JSON. It throws Refused or Unreachable.
export async function ask(path, { method = 'GET', query = {}, form } = {}) {
  const token = sessionStorage.getItem(tokenKey);
  const parameters = new URLSearchParams(query).toString();
  const request = {
    method,
    body: form && new URLSearchParams(form),
    headers: token === null ? {} : { Authorization: `Bearer ${token}` },
    cache: 'no-store',
    redirect: 'error',
    signal: AbortSignal.timeout(patience),
  };
  try {
    const answer = await fetch(parameters ? `${path}?${parameters}` : path, request);
    if (answer.ok) return await answer.json();
    throw new Refused(answer.status, await problem(answer));
  } catch (error) {
    throw error instanceof Refused ? error : new Unreachable(error.message);
  }
}

async function problem(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error || text;
  } catch {
    return text.trim() || answer.statusText;
  }
}
