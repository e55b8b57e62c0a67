// The dashboards as files beside this folder.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DashboardLinkPlacement } from '@grafana/grafana-foundation-sdk/dashboard';
import { clientSide } from './client.js';
import { connections } from './connections.js';
import { build } from './frame.js';
import { overview } from './overview.js';
import { runtime } from './runtime.js';
import { store } from './store.js';
import { oneType } from './type.js';

/** Where the files are, and the rules and the metrics that they speak of. */
export const folder = fileURLToPath(new URL('../..', import.meta.url));

// The SDK's builders put every link and annotation into a drop-down menu, where nobody
// on call would find them.
const inTheOpen = (key: string, value: unknown) =>
  key === 'placement' && value === DashboardLinkPlacement.InControlsMenu ? undefined : value;

/** Every dashboard: where it goes, and what shall be there. */
export const files = () =>
  [overview, oneType, connections, store, clientSide, runtime].map((dashboard) => ({
    path: join(folder, `${dashboard.name}.json`),
    text: JSON.stringify(build(dashboard), inTheOpen, 2) + '\n',
  }));
