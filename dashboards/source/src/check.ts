// Checks the files beside this folder; exit code 1 and what is wrong if one is not
// as it should be: node out/check.js
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { conventionErrors, repeated } from './conventions.js';
import type { Document } from './document.js';
import { files, folder } from './files.js';
import { schemaErrors } from './schema.js';

const built = new Map(files().map(({ path, text }) => [basename(path), text]));
const present = readdirSync(folder).filter((name) => name.endsWith('.json'));
const invalid = schemaErrors();
const uids: unknown[] = [];
const errors: string[] = [];
let queries = 0;

for (const name of new Set([...built.keys(), ...present])) {
  const text = present.includes(name) ? readFileSync(join(folder, name), 'utf8') : '';
  if (text !== built.get(name)) {
    errors.push(`${name} is not what its source makes: run "npm run build", or remove what has no source`);
    continue;
  }
  const dashboard = JSON.parse(text) as Document;
  const found = invalid(dashboard);
  // What is not of the right shape cannot be looked into.
  errors.push(...(found.length ? found : conventionErrors(dashboard)).map((error) => `${name}: ${error}`));
  uids.push(dashboard.uid);
  queries += dashboard.panels.reduce((sum, panel) => sum + (panel.type === 'row' ? 0 : panel.targets.length), 0);
}
errors.push(...repeated('the uid', uids));

errors.forEach((error) => console.error(error));
console.log(`${uids.length} dashboards with ${queries} queries checked, ${errors.length} errors`);
process.exitCode = errors.length ? 1 : 0;
