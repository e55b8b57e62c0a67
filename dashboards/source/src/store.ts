import type { Dashboard } from './frame.js';
import { byValue, durations, figure, graph, steps } from './panels.js';
import { chosen, moved, quantile, query, rate, share, sum, traced } from './queries.js';

const puts = chosen('pktsvc_store_puts_total');
const given = chosen('pktsvc_store_put_bytes_total');
const added = chosen('pktsvc_store_put_bytes_total', 'result="new"');
const present = chosen('pktsvc_store_put_bytes_total', 'result="present"');
const gets = chosen('pktsvc_store_gets_total');
const got = chosen('pktsvc_store_get_bytes_total');
const blocks = chosen('pktsvc_store_blocks');
const bytes = chosen('pktsvc_store_bytes');
const duration = chosen('pktsvc_store_operation_duration_seconds');
const operations = chosen('pktsvc_store_operation_duration_seconds_count');
const errors = chosen('pktsvc_store_operation_errors_total');
const used = chosen('pktsvc_store_disk_bytes');
const free = chosen('pktsvc_store_disk_free_bytes');
const reserve = chosen('pktsvc_store_disk_reserve_bytes');
const stalls = chosen('pktsvc_store_write_stalls_total');
const corrupt = chosen('pktsvc_store_corrupt_blocks_total');
const mended = chosen('pktsvc_store_mended_blocks_total');
const group = chosen('pktsvc_store_sync_requests');
const synced = chosen('pktsvc_store_sync_requests_sum');
const syncs = chosen('pktsvc_store_sync_requests_count');
const lookups = chosen('pktsvc_store_cache_lookups_total');
const hits = chosen('pktsvc_store_cache_lookups_total', 'result="hit"');

const inRange = (series: string) => sum('', `increase(${series}[$__range])`);
const cached = (by: string) => share(sum(by, rate(hits)), sum(by, rate(lookups)));

const now = {
  title: 'Now',
  panels: [
    figure(
      {
        title: 'Blocks',
        help: 'Blocks in the stores of the chosen instances, as far as their backends know. Normal: rises with what is added. Instances that share their storage have the same blocks: choose one.',
        unit: 'short',
        width: 4,
      },
      query('blocks', sum('', blocks)),
    ),
    figure(
      {
        title: 'Bytes',
        help: 'Bytes of all blocks, as the backends count them. Normal: far below what there is room for. Near it: runbook PktsvcStoreNearlyFull.',
        unit: 'bytes',
        width: 4,
      },
      query('bytes', sum('', bytes)),
    ),
    figure(
      {
        title: 'Given per byte stored',
        help: 'Bytes that were given to be stored in proportion to those that were new, in the range of time that is shown: the ratio of deduplication. Normal: 1 where all is new, more where much is the same. Without new blocks there is none.',
        unit: 'short',
        width: 4,
      },
      query('ratio', `${inRange(given)} / ${inRange(added)}`),
    ).decimals(2),
    figure(
      {
        title: 'Found in cache',
        help: 'The share of lookups that the cache of the backend answers. Normal: steady. It falls: what is read does not fit the cache any more, or is read once. A store without a cache has none.',
        unit: 'percentunit',
        width: 4,
      },
      query('hits', cached('')),
    ).decimals(1),
    figure(
      {
        title: 'Errors',
        help: 'Operations of the backend that failed in the range of time that is shown, but for those that nobody waited for any more. Normal: 0. If not: "Errors by operation and kind".',
        unit: 'short',
        width: 4,
      },
      query('errors', inRange(chosen('pktsvc_store_operation_errors_total', 'kind!="canceled"'))),
    )
      .colorScheme(byValue())
      .thresholds(steps('green', [1, 'orange'])),
    figure(
      {
        title: 'Corrupt',
        help: 'How often a block was found to have another hash than it should, in the range of time that is shown. Normal: 0. If not: runbook PktsvcStoreCorrupt.',
        unit: 'short',
        width: 4,
      },
      query('corrupt', inRange(corrupt)),
    )
      .colorScheme(byValue())
      .thresholds(steps('green', [1, 'red'])),
  ],
};

const traffic = {
  title: 'Blocks',
  panels: [
    graph(
      {
        title: 'Puts by result',
        help: 'Blocks that the backend was given per second: new, or present already. Normal: as at the same time of other days. Clients that ask before they add have few that are present.',
        unit: 'ops',
        width: 8,
      },
      query('{{result}}', sum('result', rate(puts))),
    ),
    graph(
      {
        title: 'Gets by result',
        help: 'Blocks that the backend was asked for, per second. Normal: nearly all found. missing: clients ask for what was never stored, or is in another store. corrupt: the backend noticed by itself; blocks that the service found to be corrupt are in Corrupt blocks. error: see below.',
        unit: 'ops',
        width: 8,
      },
      query('{{result}}', sum('result', rate(gets))),
    ),
    graph(
      {
        title: 'Bytes',
        help: 'Bytes of blocks per second: those that were new, those that were present already, and those that were read. Normal: follows puts and gets. Near what the disk or the network to the storage carries: it gets slow, see p99.',
        unit: 'Bps',
        width: 8,
      },
      query('put, {{result}}', sum('result', rate(given))),
      query('got', sum('', rate(got))),
    ),
    graph(
      {
        title: 'Blocks by instance',
        help: 'Blocks in the store of each instance. Normal: rises slowly; nothing takes blocks away. It falls: another store, or an empty one after a restart in memory.',
        unit: 'short',
        width: 8,
      },
      query('{{instance}}', sum('instance', blocks)),
    ),
    graph(
      {
        title: 'Bytes by instance',
        help: 'Bytes of all blocks of each instance. Normal: rises slowly. How long the room lasts is what is left divided by the rate of new bytes.',
        unit: 'bytes',
        width: 8,
      },
      query('{{instance}}', sum('instance', bytes)),
    ),
    graph(
      {
        title: 'Share that was present',
        help: 'The share of the given bytes that the store had already, so that they cost no room. Normal: what the data are like: backups of the same files near 100 %, photographs near 0. It falls: something new is stored, or the same in other pieces.',
        unit: 'percentunit',
        width: 8,
      },
      query('present', share(sum('', rate(present)), sum('', rate(given)))),
    ).max(1),
  ],
};

const backend = {
  title: 'The backend',
  panels: [
    graph(
      {
        title: 'Operations',
        help: 'What the backend is asked to do, per second. Normal: follows the requests. Many gets and few requests: trees are looked through (ContainsIndirect). Many codes: somebody compares stores.',
        unit: 'ops',
        width: 8,
      },
      query('{{operation}}', sum('operation', rate(operations))),
    ),
    durations(
      {
        title: 'Duration by operation, p50',
        help: 'What half of the operations stay below. Normal: steady; memory and cache take microseconds, disks up to milliseconds, object storage tens of them. All rise: the disk, or the way to the storage.',
        width: 8,
      },
      query('{{operation}}', quantile(0.5, 'operation', duration)),
    ),
    durations(
      {
        title: 'Duration by operation, p99',
        help: 'What 99 % of the operations stay below. Normal: some times p50. sync: what a flush costs. put: stalls while the backend tidies up. get far above p50: reads that miss the cache. A dot is one operation: click on it, then on its trace.',
        width: 8,
      },
      traced('{{operation}}', quantile(0.99, 'operation', duration)),
    ),
    graph(
      {
        title: 'Requests per sync',
        help: 'How many requests waited for the same sync: on average, and of 99 %. Normal: 1 where few flush at a time, more the more do. Many, and long syncs: the disk is what adds wait for.',
        unit: 'short',
        width: 8,
      },
      query('average', share(sum('', rate(synced)), sum('', rate(syncs)))),
      query('p99', quantile(0.99, '', group)),
    ),
    graph(
      {
        title: 'Syncs',
        help: 'Syncs of the backend per second, and the requests that waited for them. Normal: follows the flushes of clients, or the adds where each is durable. Syncs near 1 divided by their duration: one follows the other.',
        unit: 'ops',
        width: 8,
      },
      query('syncs', sum('', rate(syncs))),
      query('requests', sum('', rate(synced))),
    ),
    graph(
      {
        title: 'Found in cache by instance',
        help: 'The share of lookups that the cache of the backend answers. Normal: steady, and the same everywhere. Low after a start: the cache is still empty. Low for long: give it more memory.',
        unit: 'percentunit',
        width: 8,
      },
      query('{{instance}}', cached('instance')),
    ).max(1),
  ],
};

const disk = {
  title: 'The disk',
  panels: [
    graph(
      {
        title: 'Free less reserve by instance',
        help: 'What each store can still take: the free space of its disk, less disk_reserve. Normal: for weeks at the present pace. At 0 blocks are refused; see runbook PktsvcStoreNearlyFull. A store that is not on a disk has none.',
        unit: 'bytes',
        width: 8,
      },
      query('{{instance}}', `${sum('instance', free)} - ${sum('instance', reserve)}`),
    ),
    graph(
      {
        title: 'Size of files by instance',
        help: 'What the files of each store take of its disk. Normal: up to 1.4 times the bytes of the blocks, and 64 MiB. It stays and the free space goes: something else uses up the disk.',
        unit: 'bytes',
        width: 8,
      },
      query('{{instance}}', sum('instance', used)),
    ),
    graph(
      {
        title: 'Write stalls by instance',
        help: 'How often per second writers had to wait for the disk, with all buffers full. Normal: 0, or a few while much is added. Often: the disk is slower than what is added; see p99 of put.',
        unit: 'ops',
        width: 8,
      },
      query('{{instance}}', sum('instance', rate(stalls))),
    ),
  ],
};

const trouble = {
  title: 'What fails',
  panels: [
    graph(
      {
        title: 'Errors by operation and kind',
        help: 'Operations that failed, per second; only those that occurred in the range of time. Normal: a line "none" at 0. full: no room, see runbook PktsvcStoreFull. corrupt: the backend noticed. canceled: nobody waited any more, as in a drain. failed: all else, see Logs, and runbook PktsvcStoreErrors.',
        unit: 'ops',
        width: 12,
      },
      query('{{operation}} {{kind}}', moved('operation, kind', errors)),
    ),
    graph(
      {
        title: 'Corrupt blocks',
        help: 'Blocks that were found to have another hash than they should, per second; each time counts. Normal: 0. If not: the medium, or somebody who wrote behind the store; see runbook PktsvcStoreCorrupt. mended: somebody added the block again, and it took the place of the corrupt one.',
        unit: 'ops',
        width: 12,
      },
      query('{{instance}}', sum('instance', rate(corrupt))),
      query('{{instance}} mended', sum('instance', rate(mended))),
    ),
  ],
};

export const store: Dashboard = {
  name: 'store',
  help: 'The store of blocks: what is put and got, how much of it was there already, how long the backend takes, what fails.',
  jobs: 'pktsvc_store_puts_total',
  job: 'pktsvc',
  rows: [now, traffic, backend, disk, trouble],
};
