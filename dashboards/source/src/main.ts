// Writes the dashboards: node out/main.js
import { writeFileSync } from 'node:fs';
import { files } from './files.js';

for (const { path, text } of files()) {
  writeFileSync(path, text);
  console.log(path);
}
